"""Clients of the handshake era, 2024-11-05 to 2025-11-25, over streamable HTTP."""

import secrets
import time
from collections.abc import Callable
from typing import Final

import xxhash

from actors.core import jsonrpc
from actors.core.envelope import Envelope
from actors.core.listing import LIST_METHODS
from actors.core.request import Request
from actors.core.revisions import HANDSHAKE_REVISIONS, LATEST_HANDSHAKE, Era
from actors.core.routing import ROUTED, Rejection
from actors.core.sessions import NONCE_BYTES, Session, mint, read
from serve_app.downstream.door import Door, Visit

SESSION_SECONDS: Final = 24 * 3600.0
"""How long a session id is good; after that the client gets 404 and initializes again, as it must know how to."""

SESSION_HEADER: Final = b"mcp-session-id"


class Legacy:
    """Answers legacy POSTs. Sessions are in their ids, so any ingress replica answers any of them."""

    def __init__(
        self,
        door: Door,
        secret: bytes,
        wall_clock: Callable[[], float] = time.time,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._door = door
        self._secret = secret
        self._wall_clock = wall_clock
        self._token_bytes = token_bytes

    async def serve(self, visit: Visit, envelope: Envelope) -> None:
        """Answer one POST. Rungs, in order; the first which decides wins.

        1. `initialize` opens a session.
        2. Everything else belongs to one: without id 400, with one that is unknown 404.
        3. Notifications are taken note of.
        """
        if envelope.method == "initialize" and envelope.id is not None:
            await self._initialize(visit, envelope, envelope.id)
            return
        text = visit.headers.get("mcp-session-id")
        if text is None:
            await self._refuse(visit, envelope, 400, "this request needs the Mcp-Session-Id that initialize gave")
            return
        session = self._read(visit, text)
        if session is None:
            await self._refuse(visit, envelope, 404, "this session is not known; initialize again")
            return
        if envelope.id is None:
            await self._notified(visit, envelope, session)
            return
        origin = _origin(session, envelope.id)
        request = Request(envelope.id, envelope.method, Era.HANDSHAKE, envelope.params, envelope.meta, origin)
        await self._request(visit, request)

    async def _initialize(self, visit: Visit, envelope: Envelope, request_id: bytes) -> None:
        request = Request(request_id, envelope.method, Era.HANDSHAKE, envelope.params, envelope.meta)
        wanted = jsonrpc.text(envelope.params.get("protocolVersion"))
        if wanted is None:
            reason = "initialize needs params.protocolVersion"
            await self._door.reject(visit, request, Rejection(jsonrpc.INVALID_PARAMS, reason))
            return
        if await self._door.is_absent(visit, request):
            return
        revision = wanted if wanted in HANDSHAKE_REVISIONS else LATEST_HANDSHAKE
        session_id = mint(
            self._secret,
            nonce=self._token_bytes(NONCE_BYTES),
            revision=revision,
            principal_key=_owner(visit),
            now=self._wall_clock(),
        )
        result = visit.offer.initialize_result(revision)
        await self._door.answer(visit, request, result, [(SESSION_HEADER, session_id.encode())])

    async def _request(self, visit: Visit, request: Request) -> None:
        if request.method in ROUTED:
            await self._door.pass_on(visit, request)
        elif request.method in LIST_METHODS:
            await self._door.answer_list(visit, request)
        elif request.method == "ping":
            await self._door.answer(visit, request, b"{}")
        else:
            await self._door.reject(visit, request, Rejection(jsonrpc.METHOD_NOT_FOUND, "Method not found"))

    async def _notified(self, visit: Visit, envelope: Envelope, session: Session) -> None:
        request_id = envelope.params.get("requestId")
        if envelope.method == "notifications/cancelled" and request_id is not None:
            # the call may run on any backend, opened by any ingress replica: all are told, and one will know it
            self._door.links.cancel_origin(_origin(session, bytes(request_id)))
        await visit.responder.accept()

    async def _refuse(self, visit: Visit, envelope: Envelope, status: int, reason: str) -> None:
        error = jsonrpc.error(jsonrpc.INVALID_REQUEST, reason)
        await visit.responder.finish(status, jsonrpc.error_response(envelope.id or b"null", error))

    def _read(self, visit: Visit, text: str) -> Session | None:
        return read(
            self._secret,
            text,
            principal_key=_owner(visit),
            now=self._wall_clock(),
            max_age=SESSION_SECONDS,
        )


def _owner(visit: Visit) -> str:
    """To whom a session belongs, and at which endpoint: it is worth nothing at another."""
    return f"{visit.offer.backend or ''}\0{visit.principal.key}"


def _origin(session: Session, request_id: bytes) -> bytes:
    """Names a request among those of all sessions."""
    return xxhash.xxh3_128_digest(session.nonce + request_id)
