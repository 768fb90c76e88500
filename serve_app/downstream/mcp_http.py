"""The endpoint of streamable HTTP: which verbs it takes, and which era each request is of."""

from typing import Final

from actors.core import headers, jsonrpc
from actors.core.caller import Caller
from actors.core.envelope import Incoming, Malformed, Response, read_batch, read_message
from actors.core.offer import Offer
from actors.core.revisions import HANDSHAKE_REVISIONS
from serve_app.downstream.legacy_http import LegacyHttp
from serve_app.downstream.modern import Modern
from serve_app.downstream.responder import HttpResponder, accepts_streams
from serve_app.downstream.standing import Check
from serve_app.downstream.visit import Visit
from serve_app.http import HttpRequest, refuse

NO_REQUEST: Final = Malformed(
    jsonrpc.INVALID_REQUEST, "this revision of MCP sends one request or notification at a time"
)


class McpHttp:
    """Tells the eras apart."""

    def __init__(self, modern: Modern, legacy: LegacyHttp) -> None:
        self._modern = modern
        self._legacy = legacy

    async def serve(self, request: HttpRequest, offer: Offer, caller: Caller, check: Check | None = None) -> None:
        """Answer one request; `check` is as in `Visit`. Rungs, in order:

        1. POST is of either era.
        2. GET and DELETE are of the handshake era, and nothing else is of any.

        Raises:
            BodyTooLarge, BodyTooSlow, ClientGone: see `read_body`.
        """
        responder = HttpResponder(request.send, streams=accepts_streams(request.headers.get(b"accept", b"")))
        named = headers.mcp_headers(request.raw_headers)
        visit = Visit(offer, caller, named, responder, raw=request.headers, check=check)
        if request.method == "POST":
            await self._post(visit, responder, await request.body())
        elif request.method not in ("GET", "DELETE"):
            allowed = [(b"allow", b"POST, GET, DELETE")]
            await refuse(request.send, 405, "this endpoint takes POST, GET and DELETE", allowed)
        elif not _may_be_legacy(visit):
            await refuse(request.send, 405, "this revision of MCP has POST only", [(b"allow", b"POST")])
        elif request.method == "GET":
            await self._legacy.get(visit, responder, request.headers.get(b"last-event-id", b"").decode("latin-1"))
        else:
            await self._legacy.delete(visit, responder)

    async def _post(self, visit: Visit, responder: HttpResponder, body: bytes) -> None:
        batch = read_batch(body)
        message = read_message(body) if batch is None else batch
        if isinstance(message, Malformed):
            await responder.finish(400, message.response)
        elif isinstance(message, (list, Response)):
            await self._several_or_an_answer(visit, responder, message)
        # a modern body without the header is a modern request with a fault, and is told so
        elif _may_be_legacy(visit) and ("mcp-protocol-version" in visit.headers or not _has_envelope(message.meta)):
            await self._legacy.post(visit, message)
        else:
            await self._modern.serve(visit, message)

    async def _several_or_an_answer(
        self, visit: Visit, responder: HttpResponder, message: Response | list[Incoming]
    ) -> None:
        if not _may_be_legacy(visit):
            await responder.finish(400, NO_REQUEST.response)
        elif isinstance(message, Response):
            await self._legacy.post(visit, message)
        else:
            await self._legacy.post_batch(visit, responder, message)


def _may_be_legacy(visit: Visit) -> bool:
    """By its header; one without is of 2025-03-26 or before, or has a fault (2025-06-18, basic/transports)."""
    return visit.headers.get("mcp-protocol-version", HANDSHAKE_REVISIONS[0]) in HANDSHAKE_REVISIONS


def _has_envelope(meta: jsonrpc.Object) -> bool:
    return jsonrpc.PROTOCOL_VERSION_KEY in meta
