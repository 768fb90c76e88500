"""Servers of the handshake era, 2024-11-05 to 2025-11-25: `initialize`, then a conversation."""

import asyncio
from typing import Any, Final

import msgspec

from actors.core import jsonrpc
from actors.core.call import Call
from actors.core.identity import GATEWAY_INFO
from actors.core.jsonrpc import Message, Object
from actors.core.listing import Facts, Listing
from actors.core.outcome import Failure, FailureKind, Outcome
from actors.core.revisions import HANDSHAKE_REVISIONS, LATEST_HANDSHAKE, Era
from actors.transports.transport import Transport
from actors.upstream.asking import NO_HEADERS, Asking, UpstreamError
from actors.upstream.call_sink import CallSink
from actors.upstream.lists import LIST_LIMIT, read_lists
from actors.upstream.open_calls import Finish, OpenCalls, Repair
from actors.upstream.upstream import LISTS_MAY_DIFFER, Listener, Notified

RENEWAL_LIMIT: Final = 15.0
"""Seconds for a new session; the calls that were refused for the old one wait for it."""


class _InitializeResult(msgspec.Struct, rename="camel"):
    protocol_version: str
    capabilities: dict[str, Any] = {}
    server_info: dict[str, Any] = {}
    instructions: str | None = None


class HandshakeUpstream:
    """One initialized session with a server, and another when the server forgets it."""

    def __init__(self, asking: Asking, backend: str, notified: Notified) -> None:
        self._asking = asking
        self._transport: Transport = asking.transport
        self._backend = backend
        self._notified = notified
        self._sessions = 0
        self._renewal: Repair | None = None
        self._calls = OpenCalls(asking, self._open)
        self.facts = Facts(Era.HANDSHAKE, LATEST_HANDSHAKE)

    async def initialize(self, limit: float) -> None:
        """Open the session; `limit` in seconds.

        Raises:
            UpstreamError: the server refused, did not answer, or speaks no revision of ours.
        """
        self._transport.unsolicited = self._heard  # a server may ping before it answers
        params = {"protocolVersion": LATEST_HANDSHAKE, "capabilities": {}, "clientInfo": GATEWAY_INFO}
        answer = await self._asking.ask("initialize", jsonrpc.encode(params), limit=limit)
        try:
            result = msgspec.json.decode(answer, type=_InitializeResult)
        except msgspec.DecodeError as error:
            raise UpstreamError("its answer to initialize is not of that form") from error
        if result.protocol_version not in HANDSHAKE_REVISIONS:
            raise UpstreamError(f"it speaks revision {result.protocol_version[:32]!r}, which is unknown here")
        self.facts = Facts(
            Era.HANDSHAKE,
            result.protocol_version,
            jsonrpc.encode(result.server_info),
            tuple(result.capabilities),
            result.instructions,
        )
        self._sessions += 1
        self._transport.forgotten = self._lost_session
        self._transport.established(result.protocol_version)
        self._transport.send(jsonrpc.notification("notifications/initialized"), NO_HEADERS)

    async def list_everything(self, known: Listing) -> Listing:
        """See `Upstream.list_everything`."""

        async def ask(method: str, params: Object) -> bytes:
            return await self._asking.ask(method, jsonrpc.encode(params), limit=LIST_LIMIT)

        return await read_lists(ask, self.facts, self._backend, known)

    def start(self, call: Call, listener: Listener) -> int:
        """See `Upstream.start`. A call refused for its session has not run, and is sent once more in the next one."""
        session = self._sessions

        def renewal(outcome: Outcome) -> Repair | None:
            unseen = isinstance(outcome, Failure) and outcome.kind is FailureKind.UNAVAILABLE
            return self._renewal_since(session) if unseen else None

        return self._calls.start(call, listener, renewal)

    def cancel(self, number: int, reason: str) -> None:
        """See `Upstream.cancel`."""
        request_id = self._calls.forget(number)
        if request_id is None:
            return
        params = jsonrpc.encode({"requestId": request_id, "reason": reason})
        self._transport.drop(request_id)
        self._transport.send(jsonrpc.notification("notifications/cancelled", params), NO_HEADERS)

    def stop(self) -> None:
        """See `Upstream.stop`."""
        if self._renewal is not None:
            self._renewal.cancel()

    def _open(self, request_id: int, call: Call, listener: Listener, finish: Finish) -> None:
        params = call.params
        if call.wants_progress or call.meta != b"{}":
            meta = call.meta
            if call.wants_progress:
                meta = jsonrpc.with_member(meta, jsonrpc.PROGRESS_KEY, b"%d" % request_id)
            params = jsonrpc.with_member(params, "_meta", meta)
        sink = CallSink(call, listener, era=Era.HANDSHAKE, backend=self._backend, notified=self._heard, finish=finish)
        self._transport.open(request_id, jsonrpc.request(request_id, call.method, params), NO_HEADERS, sink)

    def _heard(self, message: Message) -> None:
        if not message.id:
            self._notified(message)
        elif message.method == "ping":
            self._transport.send(jsonrpc.result_response(message.id, b"{}"), NO_HEADERS)
        elif message.method is not None:
            error = jsonrpc.error(jsonrpc.METHOD_NOT_FOUND, f"{message.method[:64]} is not offered by this client")
            self._transport.send(jsonrpc.error_response(message.id, error), NO_HEADERS)

    def _lost_session(self) -> None:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().create_task(self._renew())

    def _renewal_since(self, session: int) -> Repair | None:
        """What gives, or gave, a newer session; nothing if this one is still good, or could not be renewed."""
        renewal = self._renewal
        return renewal if renewal is not None and not (renewal.done() and session == self._sessions) else None

    async def _renew(self) -> bool:
        try:
            await self.initialize(RENEWAL_LIMIT)
        except UpstreamError as error:
            self._transport.closed(f"the server forgot the session and gave no new one: {error}")
            return False
        self._notified(LISTS_MAY_DIFFER)  # a server that forgets has mostly been started again
        return True
