"""The ASGI application of an ingress replica: which path is what, and what every request goes through first."""

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final

import structlog

from actors.core import jsonrpc
from actors.core.guard import Guard, Objection
from actors.core.offer import Offer
from actors.core.principal import Principal
from actors.core.settings import ServerSettings
from actors.metrics import CONTENT_TYPE
from actors.refs import ActorGone, MetricsRef
from serve_app import health
from serve_app.admin.api import PREFIX as ADMIN
from serve_app.admin.api import AdminApi
from serve_app.authentication import Authentication, Denial
from serve_app.downstream import sse_door, ws_door
from serve_app.downstream.assembly import Assembly
from serve_app.downstream.channel import Entrance
from serve_app.downstream.mcp_http import McpHttp
from serve_app.http import (
    BODY_SECONDS,
    BodyTooLarge,
    BodyTooSlow,
    ClientGone,
    HttpRequest,
    Receive,
    Scope,
    Send,
    header_map,
    refuse,
    respond,
)
from serve_app.outlook import Outlook

SERVER_PATH: Final = re.compile(r"/servers/([^/]+)/mcp/?")

FIRST_VIEW_SECONDS: Final = 10.0
"""How long a request waits in an ingress replica that has just started and heard nothing of the backends yet."""

NOTHING_HERE: Final = "there is nothing here; the MCP endpoint is /mcp"

log = structlog.get_logger()


class Ingress:
    """Speaks HTTP to clients, and takes their WebSockets.

    Every request passes the guard; every one but health passes authentication, that of the admin API a stricter one;
    bodies pass the limits of size and time.
    """

    def __init__(
        self,
        server: ServerSettings,
        outlook: Outlook,
        authentication: Authentication,
        assembly: Assembly,
        find_metrics: Callable[[], MetricsRef],
        *,
        admin: AdminApi | None = None,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._server = server
        self._guard = Guard(server)
        self._outlook = outlook
        self._authentication = authentication
        self._tallying = assembly.door.tallying
        self._mcp = McpHttp(assembly.modern, assembly.legacy_http)
        self._sse = assembly.sse_door
        self._ws = assembly.ws_door
        self._find_metrics = find_metrics
        self._admin = admin
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification; `http` scopes arrive here."""
        counted = _Counted(send)
        try:
            await self._serve(scope, receive, counted)
        except ClientGone:
            return
        except BodyTooLarge:
            await refuse(counted, 413, f"the body is over {self._server.max_body_bytes} bytes")
        except BodyTooSlow:
            await refuse(counted, 408, f"the body was not there after {self._body_seconds:g} s")
        except Exception:
            log.exception("request_failed", path=scope["path"])
            if not counted.status:
                await refuse(counted, 500, "the gateway failed on this request; see its log")
        finally:
            if counted.status:
                self._tallying.tally.count_response(counted.status)

    async def connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification; `websocket` scopes arrive here."""
        try:
            found = await self._entrance_of(scope)
            self._tallying.tally.count_response(found.status if isinstance(found, Denial) else 101)
            if isinstance(found, Denial):
                await ws_door.deny(scope, receive, send, found)
                return
            limit = self._server.max_body_bytes
            check = self._recognition(scope)
            await self._ws.serve(scope, receive, send, found, check, max_bytes=limit)
        except OSError:  # the client left; the server says so in its own words
            return
        except Exception:
            log.exception("request_failed", path=scope["path"])
            with suppress(OSError, RuntimeError):  # it may be closed already
                await ws_door.part(send, ws_door.FAILED)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = header_map(scope["headers"])
        objection = self._objection(found)
        if objection is not None:
            await refuse(send, 403, objection.value)
            return
        path: str = scope["path"]
        if path in health.PATHS:
            await self._health(path, send)
            return
        limits = self._server.max_body_bytes, self._body_seconds
        query, raw = scope["query_string"], scope["headers"]
        request = HttpRequest(scope["method"], path, query, raw, found, receive, send, *limits)
        if self._admin is not None and path.startswith(ADMIN):
            await self._admin.serve(request)
            return
        principal = self._authentication.peek(scope["headers"])
        if principal is None:
            principal = await self._authentication.check(scope["headers"])
        if isinstance(principal, Denial):
            await refuse(send, principal.status, principal.reason, principal.headers)
            return
        if path == "/metrics":
            await self._metrics(send)
            return
        if not self._outlook.knows and not await self._outlook.learns(FIRST_VIEW_SECONDS):
            await refuse(send, 503, "the gateway is starting; try again in a moment", [(b"retry-after", b"1")])
            return
        offer = self._offer(path)
        if offer is not None:
            await self._mcp.serve(request, offer, principal)
        else:
            await self._http_sse(request, principal)

    async def _http_sse(self, request: HttpRequest, principal: Principal) -> None:
        match = sse_door.PATH.fullmatch(request.path)
        entrance = self._entrance(match[1], principal) if match else None
        if match is None or entrance is None:
            await refuse(request.send, 404, NOTHING_HERE)
        elif match[2] == "sse":
            await self._sse.open(request, entrance)
        else:
            await self._sse.post(request, entrance)

    async def _entrance_of(self, scope: Scope) -> Entrance | Denial:
        """Where a WebSocket comes in, if it may; rungs as for HTTP."""
        objection = self._objection(header_map(scope["headers"]))
        if objection is not None:
            return Denial(403, objection.value)
        principal = await self._recognition(scope)()
        if isinstance(principal, Denial):
            return principal
        if not self._outlook.knows and not await self._outlook.learns(FIRST_VIEW_SECONDS):
            return Denial(503, "the gateway is starting; try again in a moment")
        match = ws_door.PATH.fullmatch(scope["path"])
        entrance = self._entrance(match[1], principal) if match else None
        if entrance is None:
            return Denial(404, NOTHING_HERE)
        return Denial(503, "too many connections are open here; try again later") if self._ws.full else entrance

    def _recognition(self, scope: Scope) -> ws_door.Check:
        return lambda: self._authentication.check(scope["headers"])

    def _entrance(self, backend: str | None, principal: Principal) -> Entrance | None:
        if self._outlook.offer(backend) is None:
            return None
        return Entrance(lambda: self._outlook.offer(backend), principal, backend or "")

    def _objection(self, found: Mapping[bytes, bytes]) -> Objection | None:
        host, origin = found.get(b"host"), found.get(b"origin")
        if host is not None and b"," in host:
            return Objection.HOST  # repeated: whoever routed this request may have gone by the other one
        return self._guard.check(_text(host), _text(origin))

    def _offer(self, path: str) -> Offer | None:
        if path in ("/mcp", "/mcp/"):
            return self._outlook.offer(None)
        match = SERVER_PATH.fullmatch(path)
        return self._outlook.offer(match[1]) if match else None

    async def _health(self, path: str, send: Send) -> None:
        status, page = health.health_page(path, self._outlook.view)
        await respond(send, status, jsonrpc.encode(page))

    async def _metrics(self, send: Send) -> None:
        try:
            page = await self._find_metrics().render()
        except ActorGone:
            await refuse(send, 503, "the Metrics actor is restarting", [(b"retry-after", b"2")])
            return
        await respond(send, 200, page, [(b"content-type", CONTENT_TYPE.encode())])


class _Counted:
    """Notes the status of a response on its way out."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    def __call__(self, message: MutableMapping[str, Any]) -> Awaitable[None]:
        if not self.status:
            self.status = message["status"]
        return self._send(message)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
