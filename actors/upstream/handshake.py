"""Servers of the handshake era, 2024-11-05 to 2025-11-25: `initialize`, then a conversation."""

import asyncio
from collections.abc import Callable
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
from actors.upstream.lists import read_lists
from actors.upstream.upstream import Listener, Notified

LIST_LIMIT: Final = 15.0
"""Seconds for one page of a list."""


class _InitializeResult(msgspec.Struct, rename="camel"):
    protocol_version: str
    capabilities: dict[str, Any] = {}
    server_info: msgspec.Raw = msgspec.Raw(b"{}")
    instructions: str | None = None


class HandshakeUpstream:
    """One initialized session with a server."""

    def __init__(self, asking: Asking, backend: str, notified: Notified) -> None:
        self._asking = asking
        self._transport: Transport = asking.transport
        self._backend = backend
        self._notified = notified
        self._forgotten = False
        self._renewal: asyncio.Task[None] | None = None
        self.facts = Facts(Era.HANDSHAKE, LATEST_HANDSHAKE)

    async def initialize(self, limit: float) -> None:
        """Open the session; `limit` in seconds.

        Raises:
            UpstreamError: the server refused, did not answer, or speaks no revision of ours.
        """
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
            bytes(result.server_info),
            tuple(result.capabilities),
            result.instructions,
        )
        self._transport.unsolicited = self._heard
        self._transport.forgotten = self._lost_session
        self._transport.established(result.protocol_version)
        self._transport.send(jsonrpc.notification("notifications/initialized"), NO_HEADERS)

    async def list_everything(self) -> Listing:
        """See `Upstream.list_everything`."""

        async def ask(method: str, params: Object) -> bytes:
            return await self._asking.ask(method, jsonrpc.encode(params), limit=LIST_LIMIT)

        return await read_lists(ask, self.facts, self._backend)

    def start(self, call: Call, listener: Listener) -> int:
        """See `Upstream.start`."""
        number = self._asking.next_id()

        def finish(outcome: Outcome) -> None:
            if self._forgotten and isinstance(outcome, Failure) and outcome.kind is FailureKind.UNAVAILABLE:
                self._again(call, listener, number)  # it was refused for its session, so it has not run
            else:
                listener.finished(outcome)

        self._open(number, number, call, listener, finish)
        return number

    def cancel(self, number: int, reason: str) -> None:
        """See `Upstream.cancel`."""
        params = jsonrpc.encode({"requestId": number, "reason": reason})
        self._transport.drop(number)
        self._transport.send(jsonrpc.notification("notifications/cancelled", params), NO_HEADERS)

    def stop(self) -> None:
        """See `Upstream.stop`."""
        if self._renewal is not None:
            self._renewal.cancel()

    def _open(self, number: int, token: int, call: Call, listener: Listener, finish: Callable[[Outcome], None]) -> None:
        params = call.params
        if call.wants_progress or call.meta != b"{}":
            meta = call.meta
            if call.wants_progress:
                meta = jsonrpc.with_member(meta, jsonrpc.PROGRESS_KEY, b"%d" % token)
            params = jsonrpc.with_member(params, "_meta", meta)
        sink = CallSink(call, listener, era=Era.HANDSHAKE, backend=self._backend, notified=self._heard, finish=finish)
        self._transport.open(number, jsonrpc.request(number, call.method, params), NO_HEADERS, sink)

    def _heard(self, message: Message) -> None:
        if not message.id:
            self._notified(message)
        elif message.method == "ping":
            self._transport.send(jsonrpc.result_response(message.id, b"{}"), NO_HEADERS)
        elif message.method is not None:
            error = jsonrpc.error(jsonrpc.METHOD_NOT_FOUND, f"{message.method[:64]} is not offered by this client")
            self._transport.send(jsonrpc.error_response(message.id, error), NO_HEADERS)

    def _lost_session(self) -> None:
        self._forgotten = True
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        try:
            await self.initialize(LIST_LIMIT)
        except UpstreamError as error:
            self._transport.closed(f"the server forgot the session and gave no new one: {error}")
            raise
        finally:
            self._forgotten = False

    def _again(self, call: Call, listener: Listener, number: int) -> None:
        renewal = self._renewal
        assert renewal is not None, "a session is renewed as soon as it is lost"  # noqa: S101

        def renewed(task: asyncio.Task[None]) -> None:
            if task.cancelled() or (error := task.exception()) is not None:
                detail = "cancelled" if task.cancelled() else str(error)
                listener.finished(Failure(FailureKind.UNAVAILABLE, self._backend, f"session lost: {detail}"))
            else:
                self._open(number, number, call, listener, listener.finished)

        renewal.add_done_callback(renewed)
