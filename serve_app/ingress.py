"""The ASGI application of an ingress replica: which path is what, and what every request goes through first."""

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import structlog

from actors.core import headers, jsonrpc
from actors.core.envelope import Malformed, read_envelope
from actors.core.guard import Guard, Objection
from actors.core.offer import Offer
from actors.core.principal import Principal
from actors.core.revisions import HANDSHAKE_REVISIONS
from actors.core.settings import ServerSettings
from actors.metrics import CONTENT_TYPE
from actors.refs import ActorGone, MetricsRef
from serve_app import health
from serve_app.authentication import Authentication, Denial
from serve_app.downstream.door import Door, Visit
from serve_app.downstream.legacy import Legacy
from serve_app.downstream.modern import serve_modern
from serve_app.downstream.responder import Responder, accepts_streams
from serve_app.http import (
    BODY_SECONDS,
    JSON,
    BodyTooLarge,
    BodyTooSlow,
    ClientGone,
    Headers,
    Receive,
    Scope,
    Send,
    header_map,
    read_body,
    respond,
)
from serve_app.outlook import Outlook

SERVER_PATH: Final = re.compile(r"/servers/([^/]+)/mcp/?")

log = structlog.get_logger()


class Ingress:
    """Speaks HTTP to clients.

    Every request passes the guard; every one but health passes authentication; bodies pass the limits of size and time.
    """

    def __init__(
        self,
        server: ServerSettings,
        outlook: Outlook,
        authentication: Authentication,
        door: Door,
        legacy: Legacy,
        find_metrics: Callable[[], MetricsRef],
        *,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._server = server
        self._guard = Guard(server)
        self._outlook = outlook
        self._authentication = authentication
        self._door = door
        self._legacy = legacy
        self._find_metrics = find_metrics
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification; only `http` scopes arrive here."""
        counted = _Counted(send)
        try:
            await self._serve(scope, receive, counted)
        except ClientGone:
            return
        except Exception:
            log.exception("request_failed", path=scope["path"])
            if not counted.status:
                await _refuse(counted, 500, "the gateway failed on this request; see its log")
        finally:
            if counted.status:
                self._door.tallying.tally.count_response(counted.status)

    async def _serve(self, scope: Scope, receive: Receive, send: "_Counted") -> None:
        found = header_map(scope["headers"])
        objection = self._objection(found)
        if objection is not None:
            await _refuse(send, 403, objection.value)
            return
        path: str = scope["path"]
        if path in health.PATHS:
            await self._health(path, send)
            return
        principal = self._authentication.peek(scope["headers"])
        if principal is None:
            principal = await self._authentication.check(scope["headers"])
        if isinstance(principal, Denial):
            await _refuse(send, principal.status, principal.reason, principal.headers)
            return
        if path == "/metrics":
            await self._metrics(send)
            return
        offer = self._offer(path)
        if offer is None:
            await _refuse(send, 404, "there is nothing here; the MCP endpoint is /mcp")
        elif scope["method"] != "POST":
            await _refuse(send, 405, "this endpoint takes POST", [(b"allow", b"POST")])
        else:
            await self._post(scope, found, receive, send, offer, principal)

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

    async def _post(
        self,
        scope: Scope,
        found: Mapping[bytes, bytes],
        receive: Receive,
        send: "_Counted",
        offer: Offer,
        principal: Principal,
    ) -> None:
        try:
            body = await read_body(receive, found, self._server.max_body_bytes, self._body_seconds)
        except BodyTooLarge:
            await _refuse(send, 413, f"the body is over {self._server.max_body_bytes} bytes")
            return
        except BodyTooSlow:
            await _refuse(send, 408, f"the body was not there after {self._body_seconds:g} s")
            return
        envelope = read_envelope(body)
        responder = Responder(send, streams=accepts_streams(found.get(b"accept", b"")))
        if isinstance(envelope, Malformed):
            await responder.finish(400, envelope.response)
            return
        visit = Visit(offer, principal, headers.mcp_headers(scope["headers"]), responder)
        revision = visit.headers.get("mcp-protocol-version")
        # a modern body without the header is a modern request with a fault, and is told so
        legacy = revision in HANDSHAKE_REVISIONS or (
            revision is None and jsonrpc.PROTOCOL_VERSION_KEY not in envelope.meta
        )
        if legacy:
            await self._legacy.serve(visit, envelope)
        else:
            await serve_modern(self._door, visit, envelope)

    async def _health(self, path: str, send: Send) -> None:
        status, page = health.health_page(path, self._outlook.view)
        await respond(send, status, jsonrpc.encode(page))

    async def _metrics(self, send: Send) -> None:
        try:
            page = await self._find_metrics().render()
        except ActorGone:
            await _refuse(send, 503, "the Metrics actor is restarting", [(b"retry-after", b"2")])
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


async def _refuse(send: Send, status: int, reason: str, more: Headers = ()) -> None:
    """An error outside of any MCP method, with a JSON-RPC body: a bare one would look like an old server to clients."""
    error = jsonrpc.error_response(b"null", jsonrpc.error(jsonrpc.INVALID_REQUEST, reason))
    await respond(send, status, error, [JSON, *more])
