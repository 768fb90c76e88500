"""Clients of the handshake era, 2024-11-05 to 2025-11-25: what they say within a session, whatever it comes over."""

import secrets
import time
from collections.abc import Callable
from typing import Final

import structlog
import xxhash

from actors.core import jsonrpc
from actors.core.call import NO_CAPABILITIES
from actors.core.client import Client
from actors.core.envelope import Envelope, Response
from actors.core.listing import LIST_METHODS
from actors.core.log_levels import LOG_LEVELS
from actors.core.request import Request
from actors.core.revisions import HANDSHAKE_REVISIONS, LATEST_HANDSHAKE
from actors.core.routing import ROUTED, Rejection
from actors.core.session_book import Opening
from actors.core.session_end import End
from actors.core.session_state import SessionState
from actors.core.sessions import NONCE_BYTES, Session, mint, read
from actors.core.tokens.revocations import credential_of
from serve_app.downstream.door import Door
from serve_app.downstream.streams import Streams
from serve_app.downstream.visit import Visit
from serve_app.downstream.watch import can_be_followed, owner_of
from serve_app.recording import UNAVAILABLE as UNRECORDED
from serve_app.sessions import Sessions

SESSION_SECONDS: Final = 24 * 3600.0
"""How long a session id is good; after that the client gets 404 and initializes again, as it must know how to."""

DEFAULT_LEVEL: Final = "info"
"""The log messages that a client gets that never said what it wants: this era leaves it to the server."""

MANY_SESSIONS: Final = Rejection(jsonrpc.INTERNAL_ERROR, "the gateway has too many sessions; try again later")
MANY_SUBSCRIPTIONS: Final = Rejection(jsonrpc.INVALID_PARAMS, "this session has as many subscriptions as it may have")
NOT_FOLLOWED: Final = Rejection(jsonrpc.METHOD_NOT_FOUND, "the server of this resource does not tell when it changes")
UNKNOWN_METHOD: Final = Rejection(jsonrpc.METHOD_NOT_FOUND, "Method not found")

log = structlog.get_logger()


class Legacy:
    """Answers what is said in sessions. Ids of sessions are signed, so any ingress replica knows its own."""

    def __init__(
        self,
        door: Door,
        sessions: Sessions,
        streams: Streams,
        secret: bytes,
        wall_clock: Callable[[], float] = time.time,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._door = door
        self._sessions = sessions
        self._streams = streams
        self._secret = secret
        self._wall_clock = wall_clock
        self._token_bytes = token_bytes

    async def initialize(self, visit: Visit, envelope: Envelope) -> tuple[Request, bytes, str] | None:
        """Open a session; gives the request, its result and the id of the session, or nothing if it was refused."""
        params = envelope.params
        wanted = jsonrpc.text(params.get("protocolVersion"))
        revision = wanted if wanted in HANDSHAKE_REVISIONS else LATEST_HANDSHAKE
        declared = bytes(params.get("capabilities", NO_CAPABILITIES))
        capabilities = declared if jsonrpc.is_object(declared) else NO_CAPABILITIES
        client = Client(revision, visit.principal.key, visit.offer.backend or "", capabilities)
        request = Request(envelope.id or b"null", envelope.method, params, envelope.meta, client)
        if wanted is None:
            reason = "initialize needs params.protocolVersion"
            await self._door.reject(visit, request, Rejection(jsonrpc.INVALID_PARAMS, reason))
            return None
        if self._door.recorder.refusing:
            await self._door.reject(visit, request, UNRECORDED)
            return None
        if not await self._door.admits(visit, request) or await self._door.is_absent(visit, request):
            return None
        nonce = self._token_bytes(NONCE_BYTES)
        info = bytes(params.get("clientInfo", b""))
        info = info if jsonrpc.is_object(info) else b""
        limiting = self._door.limiting
        most, credential = limiting.max_sessions(visit.principal), credential_of(visit.principal)
        opening = await self._sessions.open(nonce, client.account, info, most, credential)
        if not opening:
            over = opening is Opening.OVER_QUOTA
            await self._door.reject(visit, request, limiting.refuse_session() if over else MANY_SESSIONS)
            return None
        self._door.recorder.session_opened(visit.caller, nonce, client.endpoint)
        session_id = mint(
            self._secret,
            nonce=nonce,
            revision=revision,
            principal_key=client.account,
            now=self._wall_clock(),
            capabilities=capabilities,
        )
        return request, visit.offer.initialize_result(revision), session_id

    async def find(self, visit: Visit, session_id: str) -> Client | None:
        """Who speaks in a session; nothing if it is not one of ours, of this client, or has ended."""
        endpoint = visit.offer.backend or ""
        account = Client("", visit.principal.key, endpoint).account
        session = read(self._secret, session_id, principal_key=account, now=self._wall_clock(), max_age=SESSION_SECONDS)
        state = await self._door.bindings.find(session.nonce, account, endpoint) if session is not None else None
        if session is None or state is None:
            return None
        self._sessions.touch(session.nonce, credential_of(visit.principal))
        return _client(visit, session, state)

    async def end(self, client: Client, why: End = End.CLIENT) -> None:
        """End a session, and what the servers keep for it."""
        await self._sessions.end(client.session, why)
        self._door.links.cancel_origin(client.session)

    async def handle(self, visit: Visit, client: Client, message: Envelope | Response) -> None:
        """Take one message of a session, and answer it if it is a request."""
        if isinstance(message, Response):
            if not self._door.ways.questions.take(client, message):
                log.debug("answer_to_nothing", principal=client.principal)
            await visit.responder.accept()
        elif message.id is None:
            self._notified(client, message)
            await visit.responder.accept()
        else:
            origin = _origin(client, message.id)
            await self._request(
                visit, Request(message.id, message.method, message.params, message.meta, client, origin)
            )

    async def _request(self, visit: Visit, request: Request) -> None:
        door = self._door
        if request.method in ROUTED:
            await door.pass_on(visit, request)
        elif request.method == "ping":
            await door.answer(visit, request, b"{}")
        elif not await door.admits(visit, request):
            return
        elif request.method in LIST_METHODS:
            await door.answer_list(visit, request)
        else:
            change = {
                "logging/setLevel": self._set_level,
                "resources/subscribe": self._subscribe,
                "resources/unsubscribe": self._unsubscribe,
            }.get(request.method)
            rejection = UNKNOWN_METHOD if change is None else await change(visit, request)
            if rejection is None:
                await door.answer(visit, request, b"{}")
            else:
                await door.reject(visit, request, rejection)

    async def _set_level(self, _visit: Visit, request: Request) -> Rejection | None:
        level = jsonrpc.text(request.params.get("level"))
        if level not in LOG_LEVELS:
            return Rejection(jsonrpc.INVALID_PARAMS, f"level is one of {', '.join(LOG_LEVELS)}")
        await self._sessions.set_level(request.client.session, level)
        return None

    async def _subscribe(self, visit: Visit, request: Request) -> Rejection | None:
        uri = jsonrpc.text(request.params.get("uri"))
        if uri is None or owner_of(visit.offer, uri, request.client) is None:
            shown = (uri or "")[:512]
            return Rejection(jsonrpc.RESOURCE_NOT_FOUND, f"Resource not found: {shown}", {"uri": shown})
        if not can_be_followed(visit.offer, uri, request.client):
            return NOT_FOLLOWED
        if not await self._sessions.subscribe(request.client.session, uri):
            return MANY_SUBSCRIPTIONS
        await self._streams.begun(request.client.session)  # what changes after our answer is told
        return None

    async def _unsubscribe(self, _visit: Visit, request: Request) -> Rejection | None:
        uri = jsonrpc.text(request.params.get("uri"))
        if uri is None:
            return Rejection(jsonrpc.INVALID_PARAMS, "resources/unsubscribe needs params.uri")
        await self._sessions.unsubscribe(request.client.session, uri)
        return None

    def _notified(self, client: Client, envelope: Envelope) -> None:
        request_id = envelope.params.get("requestId")
        if envelope.method == "notifications/cancelled" and request_id is not None:
            # the call may run on any backend, opened by any ingress replica: all are told, and one will know it
            self._door.links.cancel_origin(_origin(client, bytes(request_id)))


def _client(visit: Visit, session: Session, state: SessionState) -> Client:
    return Client(
        session.revision,
        visit.principal.key,
        visit.offer.backend or "",
        session.capabilities,
        state.client_info or None,
        state.log_level or DEFAULT_LEVEL,
        interactive=visit.responder.streams,
        session=session.nonce,
    )


def _origin(client: Client, request_id: bytes) -> bytes:
    """Names a request among those of all sessions."""
    return xxhash.xxh3_128_digest(client.session + request_id)
