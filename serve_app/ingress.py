"""The ASGI application of an ingress replica: which path is what, and what every request goes through first."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import structlog

from actors.core import jsonrpc
from actors.core.caller import Caller
from actors.core.guard import Guard
from actors.core.limits.admission import STATUS, Reason
from actors.core.offer import Offer
from actors.core.settings import ServerSettings
from actors.metrics import CONTENT_TYPE
from actors.refs.gone import ActorGone
from actors.refs.metrics import MetricsRef
from serve_app import health
from serve_app.admin.api import PREFIX as ADMIN
from serve_app.admin.api import AdminApi
from serve_app.answer import STAY_ENCRYPTED, WRITE_SECONDS, Answer
from serve_app.connect.door import ConnectDoor
from serve_app.cross_origin import preflight, told_to_pages
from serve_app.denial import Denial
from serve_app.downstream import sse_door, ws_door
from serve_app.downstream.assembly import Assembly
from serve_app.downstream.entrance import Entrance
from serve_app.downstream.mcp_http import McpHttp
from serve_app.downstream.standing import UNAUTHORIZED, Check
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
from serve_app.metadata import Metadata
from serve_app.oauth.endpoints import OAuthEndpoints
from serve_app.objection import objection_to
from serve_app.outlook import Outlook
from serve_app.reception import Reception

SERVER_PATH: Final = re.compile(r"/servers/([^/]+)/mcp/?")

FIRST_VIEW_SECONDS: Final = 10.0
"""How long a request waits in an ingress replica that has just started and heard nothing of the backends yet."""

METRICS: Final = "/metrics"

NOTHING_HERE: Final = "there is nothing here; the MCP endpoint is /mcp"

log = structlog.get_logger()


class Ingress:
    """Speaks HTTP to clients, and takes their WebSockets.

    Every request passes the guard; every one but health and the metadata of the resource passes authentication, that of
    the admin API a stricter one; bodies pass the limits of size and time.
    """

    def __init__(
        self,
        server: ServerSettings,
        outlook: Outlook,
        reception: Reception,
        assembly: Assembly,
        find_metrics: Callable[[], MetricsRef],
        *,
        admin: AdminApi | None = None,
        metadata: Metadata | None = None,
        oauth: OAuthEndpoints | None = None,
        connect: ConnectDoor | None = None,
        body_seconds: float = BODY_SECONDS,
        write_seconds: float = WRITE_SECONDS,
    ) -> None:
        self._server = server
        self._guard = Guard(server)
        self._outlook = outlook
        self._reception = reception
        self._door = assembly.door
        self._tallying = assembly.door.tallying
        self._recorder = assembly.door.recorder
        self._mcp = McpHttp(assembly.modern, assembly.legacy_http)
        self._sse = assembly.sse_door
        self._ws = assembly.ws_door
        self._find_metrics = find_metrics
        self._admin = admin
        self._metadata = metadata
        self._oauth = oauth
        self._connect = connect
        self._body_seconds = body_seconds
        self._write_seconds = write_seconds
        self._everywhere = () if server.tls is None else (STAY_ENCRYPTED,)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification; `http` scopes arrive here."""
        found = header_map(scope["headers"])
        counted = Answer(send, self._everywhere, self._write_seconds)
        try:
            await self._serve(scope, found, receive, counted)
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
            if isinstance(found, Denial):
                self._record(scope, found.status, found.reason)
                await self._deny(scope, receive, send, found)
                return
            async with self._door.hold(found.caller, Reason.WEBSOCKETS, "WEBSOCKET", scope["path"]) as refused:
                if refused is not None:
                    await self._deny(scope, receive, send, Denial(STATUS, refused.message, refused.fields))
                    return
                self._tallying.tally.count_response(101)
                limit = self._server.max_body_bytes
                await self._ws.serve(scope, receive, send, found, self._recognition(scope), max_bytes=limit)
        except OSError:  # the client left; the server says so in its own words
            return
        except Exception:
            log.exception("request_failed", path=scope["path"])
            with suppress(OSError, RuntimeError):  # it may be closed already
                await ws_door.part(send, ws_door.FAILED)

    async def _deny(self, scope: Scope, receive: Receive, send: Send, denial: Denial) -> None:
        self._tallying.tally.count_response(denial.status)
        await ws_door.deny(scope, receive, send, denial)

    async def _serve(self, scope: Scope, found: Mapping[bytes, bytes], receive: Receive, send: Answer) -> None:
        objection = objection_to(scope, found, self._guard)
        if objection is not None:
            self._record(scope, objection.status, objection.reason)
            await refuse(send, objection.status, objection.reason)
            return
        path: str = scope["path"]
        send.more = [*send.more, *told_to_pages(path, found.get(b"origin"))]
        if await self._tells_anybody(scope, found, send):
            return
        limits = self._server.max_body_bytes, self._body_seconds
        query, raw = scope["query_string"], scope["headers"]
        ip = self._reception.address(scope)
        request = HttpRequest(scope["method"], path, query, raw, found, receive, send, *limits, ip)
        if await self._is_for_another(request):
            return
        caller = await self._caller_of(scope)
        if isinstance(caller, Denial):
            self._record(scope, caller.status, caller.reason)
            await refuse(send, caller.status, caller.reason, caller.headers)
            return
        if path == METRICS:
            if self._reception.permits(caller, "metrics:read").allowed:
                await self._metrics(send)
            else:
                await refuse(send, 403, "the permission metrics:read is required")
            return
        if not self._outlook.knows and not await self._outlook.learns(FIRST_VIEW_SECONDS):
            await refuse(send, 503, "the gateway is starting; try again in a moment", [(b"retry-after", b"1")])
            return
        offer = self._offer(path, caller)
        if offer is not None:
            await self._mcp.serve(request, offer, caller, self._recognition(scope))
        else:
            await self._http_sse(request, caller, self._recognition(scope))

    async def _tells_anybody(self, scope: Scope, found: Mapping[bytes, bytes], send: Send) -> bool:
        """Answer what needs no credential, if a request is for that."""
        path = scope["path"]
        permission = preflight(scope["method"], path, found)
        if permission is not None:
            await respond(send, 200, b"", permission)
        elif path in health.PATHS:
            await self._health(path, send)
        elif self._metadata is not None and self._metadata.knows(path):
            await self._metadata.serve(scope, send)
        else:
            return False
        return True

    async def _is_for_another(self, request: HttpRequest) -> bool:
        """Hand on what is for those who see for themselves who may have what, if a request is for one of them."""
        if self._admin is not None and request.path.startswith(ADMIN):
            await self._admin.serve(request)
        elif self._oauth is not None and self._oauth.knows(request.path):
            await self._oauth.serve(request)
        elif self._connect is not None and self._connect.knows(request.path):
            await self._connect.serve(request)
        else:
            return False
        return True

    async def _caller_of(self, scope: Scope) -> Caller | Denial:
        """Who sends a request, with what it takes to be let in there."""
        caller = await self._reception.recognise(scope)
        if isinstance(caller, Denial) or scope["path"] == METRICS:
            return caller
        return self._reception.step_up(caller, scope) or caller

    async def _http_sse(self, request: HttpRequest, caller: Caller, check: Check) -> None:
        match = sse_door.PATH.fullmatch(request.path)
        entrance = self._entrance(match[1], caller, check) if match else None
        if match is None or entrance is None:
            await refuse(request.send, 404, NOTHING_HERE)
        elif match[2] == "sse":
            await self._sse.open(request, entrance)
        else:
            await self._sse.post(request, entrance)

    async def _entrance_of(self, scope: Scope) -> Entrance | Denial:
        """Where a WebSocket comes in, if it may; rungs as for HTTP."""
        objection = objection_to(scope, header_map(scope["headers"]), self._guard)
        if objection is not None:
            return objection
        caller = await self._caller_of(scope)
        if isinstance(caller, Denial):
            return caller
        if not self._outlook.knows and not await self._outlook.learns(FIRST_VIEW_SECONDS):
            return Denial(503, "the gateway is starting; try again in a moment")
        match = ws_door.PATH.fullmatch(scope["path"])
        entrance = self._entrance(match[1], caller) if match else None
        if entrance is None:
            return Denial(404, NOTHING_HERE)
        return Denial(503, "too many connections are open here; try again later") if self._ws.full else entrance

    def _recognition(self, scope: Scope) -> Check:
        async def check() -> Caller | Denial:
            found = await self._reception.recognise(scope, again=True)
            if isinstance(found, Denial) and found.status == UNAUTHORIZED:
                self._record(scope, found.status, found.reason)
            return found

        return check

    def _entrance(self, backend: str | None, caller: Caller, check: Check | None = None) -> Entrance | None:
        if self._reception.offer(caller, backend) is None:
            return None
        return Entrance(lambda: self._reception.offer_later(caller, backend), caller, backend or "", check)

    def _record(self, scope: Scope, status: int, reason: str) -> None:
        verb = scope.get("method", "WEBSOCKET")
        self._recorder.denied(self._reception.address(scope), verb, scope["path"], status, reason)

    def _offer(self, path: str, caller: Caller) -> Offer | None:
        if path in ("/mcp", "/mcp/"):
            return self._reception.offer(caller, None)
        match = SERVER_PATH.fullmatch(path)
        return self._reception.offer(caller, match[1]) if match else None

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
