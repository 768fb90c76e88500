"""Clients of the modern era, 2026-07-28: every request brings its own envelope, and nothing is remembered."""

from typing import Final

from actors.core import headers, jsonrpc
from actors.core.call import NO_CAPABILITIES
from actors.core.client import Client
from actors.core.envelope import Envelope
from actors.core.jsonrpc import Object
from actors.core.listing import LIST_METHODS
from actors.core.log_levels import LOG_LEVELS
from actors.core.request import Request
from actors.core.revisions import HANDSHAKE_REVISIONS, LATEST_MODERN, MODERN_REVISIONS
from actors.core.routing import ROUTED, Rejection
from actors.core.tasks import TASK_METHODS
from serve_app.downstream.bridge import CONTINUED
from serve_app.downstream.comeback import Comeback
from serve_app.downstream.door import Door
from serve_app.downstream.listening import Listening
from serve_app.downstream.visit import Visit

ENVELOPE_KEYS: Final = (jsonrpc.PROTOCOL_VERSION_KEY, jsonrpc.CLIENT_CAPABILITIES_KEY)
"""What `_meta` must hold; the client's name it should."""


class Modern:
    """Answers modern POSTs."""

    def __init__(self, door: Door, listening: Listening, comeback: Comeback | None = None) -> None:
        self._door = door
        self._listening = listening
        self._comeback = comeback

    async def serve(self, visit: Visit, envelope: Envelope) -> None:
        """Answer one of them."""
        if envelope.id is None:
            await visit.responder.accept()  # this revision has no notifications to servers over HTTP
            return
        client = client_of(visit, envelope.meta)
        request = Request(envelope.id, envelope.method, envelope.params, envelope.meta, client)
        rejection = examine(request, visit.headers)
        if rejection is not None:
            await self._door.reject(visit, request, rejection)
        elif request.method in ROUTED or request.method in TASK_METHODS:
            await self._pass_on(visit, request)
        elif not await self._door.admits(visit, request):
            return
        elif request.method in LIST_METHODS:
            await self._door.answer_list(visit, request)
        elif request.method == "subscriptions/listen":
            await self._listening.serve(visit, request)
        elif request.method != "server/discover":
            await self._door.reject(visit, request, Rejection(jsonrpc.METHOD_NOT_FOUND, "Method not found"))
        elif not await self._door.is_absent(visit, request):
            await self._door.answer(visit, request, visit.offer.discover_result)

    async def _pass_on(self, visit: Visit, request: Request) -> None:
        denial = None
        if self._comeback is not None and request.method in CONTINUED and "inputResponses" in request.params:
            denial = await self._comeback.wait(visit, request)
        if denial is None:
            await self._door.pass_on(visit, request)
        else:
            await self._door.reject(visit, request, Rejection(jsonrpc.INVALID_REQUEST, denial.reason))


def client_of(visit: Visit, meta: Object) -> Client:
    """The client, as its request describes it."""
    info = meta.get(jsonrpc.CLIENT_INFO_KEY)
    return Client(
        LATEST_MODERN,
        visit.principal.key,
        visit.offer.backend or "",
        capabilities=bytes(meta.get(jsonrpc.CLIENT_CAPABILITIES_KEY, NO_CAPABILITIES)),
        info=None if info is None else bytes(info),
        log_level=jsonrpc.text(meta.get(jsonrpc.LOG_LEVEL_KEY)),
    )


def examine(request: Request, found: dict[str, str]) -> Rejection | None:
    """Check the envelope of a request and its headers. Rungs, in order; the first which fails decides.

    1. `_meta` has the revision, a string, and the client's capabilities, an object (2026-07-28, basic).
    2. The headers say what the body says (2026-07-28, basic/transports/streamable-http).
    3. The revision is one of ours.
    4. A log level is one there is.
    """
    missing = [key for key in ENVELOPE_KEYS if key not in request.meta]
    if missing:
        return Rejection(jsonrpc.INVALID_PARAMS, f"params._meta has no {' and no '.join(missing)}")
    revision = jsonrpc.text(request.meta[jsonrpc.PROTOCOL_VERSION_KEY])
    if revision is None or not jsonrpc.is_object(request.meta[jsonrpc.CLIENT_CAPABILITIES_KEY]):
        return Rejection(jsonrpc.INVALID_PARAMS, "params._meta has a revision or capabilities of the wrong type")
    key = headers.NAME_KEYS.get(request.method)
    name = jsonrpc.text(request.params.get(key)) if key is not None else None
    reason = headers.check_routing(request.method, name, revision, found)
    if reason is not None:
        return Rejection(jsonrpc.HEADER_MISMATCH, reason)
    if revision not in MODERN_REVISIONS:
        supported = [*MODERN_REVISIONS, *reversed(HANDSHAKE_REVISIONS)]
        data = {"supported": supported, "requested": revision[:64]}
        return Rejection(jsonrpc.UNSUPPORTED_REVISION, "Unsupported protocol version", data)
    level = request.meta.get(jsonrpc.LOG_LEVEL_KEY)
    if level is not None and jsonrpc.text(level) not in LOG_LEVELS:
        return Rejection(jsonrpc.INVALID_PARAMS, "params._meta has an unknown log level")
    return None
