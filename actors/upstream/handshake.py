"""Servers of the handshake era, 2024-11-05 to 2025-11-25: `initialize`, then a conversation."""

import asyncio
from functools import partial
from typing import Any, Final

import msgspec
import structlog

from actors.core import jsonrpc
from actors.core.attribution import AMBIGUOUS, NO_CALL
from actors.core.call import Call
from actors.core.capabilities import supports
from actors.core.identity import BRIDGED_CAPABILITIES, GATEWAY_INFO
from actors.core.jsonrpc import Message, Object
from actors.core.listing import Facts, Listing, capabilities_of
from actors.core.log_levels import is_more_verbose
from actors.core.outcome import Failure, FailureKind, Outcome
from actors.core.revisions import HANDSHAKE_REVISIONS, LATEST_HANDSHAKE, Era
from actors.transports.transport import Transport
from actors.upstream.asking import NO_HEADERS, Asking, UpstreamError
from actors.upstream.call_sink import CallSink
from actors.upstream.lists import LIST_LIMIT, read_lists
from actors.upstream.open_calls import OpenCall, OpenCalls, Repair
from actors.upstream.questions import Questions
from actors.upstream.resource_subscriptions import ResourceSubscriptions
from actors.upstream.upstream import LISTS_MAY_DIFFER, Listener, Notified

RENEWAL_LIMIT: Final = 15.0
"""Seconds for a new session; the calls that were refused for the old one wait for it."""

LEVEL_LIMIT: Final = 15.0
"""Seconds for `logging/setLevel`; nobody waits for it."""

log = structlog.get_logger()


class _InitializeResult(msgspec.Struct, rename="camel"):
    protocol_version: str
    capabilities: msgspec.Raw = msgspec.Raw(b"{}")
    server_info: dict[str, Any] = {}
    instructions: str | None = None


class _Cancelled(msgspec.Struct, rename="camel"):
    request_id: msgspec.Raw


_OTHER_CHECK: Final = {"ping": "tools/list", "tools/list": "ping"}
"""Every server must answer a ping, but some know only what they offer, and keep silent about the rest."""

_initialize_decoder: Final = msgspec.json.Decoder(_InitializeResult)
_cancelled_decoder: Final = msgspec.json.Decoder(_Cancelled)


class HandshakeUpstream:
    """One initialized session with a server, and another when the server forgets it.

    `capabilities`, a JSON object, are declared for the client; a session of one caller's own declares that caller's.
    """

    def __init__(
        self, asking: Asking, backend: str, notified: Notified, *, capabilities: bytes = BRIDGED_CAPABILITIES
    ) -> None:
        self._asking = asking
        self._transport: Transport = asking.transport
        self._backend = backend
        self._notified = notified
        self._capabilities = capabilities
        self._sessions = 0
        self._renewal: Repair | None = None
        self._level: str | None = None
        """The most verbose that a call has asked for; the server's own choice until then."""
        self._calls = OpenCalls(asking, self._send)
        self._check = "ping"
        self._questions = Questions(asking.transport, backend)
        self._subscriptions = ResourceSubscriptions(asking, backend, notified)
        self.facts = Facts(Era.HANDSHAKE, LATEST_HANDSHAKE)

    async def initialize(self, limit: float) -> None:
        """Open the session; `limit` in seconds.

        Raises:
            UpstreamError: the server refused, did not answer, or speaks no revision of ours.
        """
        self._transport.unsolicited = self._heard  # a server may ping before it answers
        params = {
            "protocolVersion": LATEST_HANDSHAKE,
            "capabilities": jsonrpc.raw_bytes(self._capabilities),
            "clientInfo": GATEWAY_INFO,
        }
        answer = await self._asking.ask("initialize", jsonrpc.encode(params), limit=limit)
        try:
            result = jsonrpc.decode(_initialize_decoder, answer)
            capabilities = capabilities_of(result.capabilities)
        except msgspec.DecodeError as error:
            raise UpstreamError("its answer to initialize is not of that form") from error
        if result.protocol_version not in HANDSHAKE_REVISIONS:
            raise UpstreamError(f"it speaks revision {result.protocol_version[:32]!r}, which is unknown here")
        self.facts = Facts(
            Era.HANDSHAKE,
            result.protocol_version,
            jsonrpc.encode(result.server_info),
            capabilities,
            result.instructions,
        )
        self._questions.revision = result.protocol_version
        self._sessions += 1
        self._transport.forgotten = self._lost_session
        self._transport.established(result.protocol_version)
        self._transport.send(jsonrpc.notification("notifications/initialized"), NO_HEADERS)

    @property
    def replies(self) -> int:
        """See `Upstream.replies`."""
        return self._calls.replies

    async def check(self, limit: float) -> None:
        """See `Upstream.check`. A server that leaves one question unanswered is asked the other next time."""
        try:
            await self._asking.ask(self._check, b"{}", limit=limit)
        except UpstreamError as error:
            if error.kind is FailureKind.TIMEOUT and self.facts.offers("tools"):
                self._check = _OTHER_CHECK[self._check]
            raise

    async def list_everything(self, known: Listing) -> Listing:
        """See `Upstream.list_everything`."""

        async def ask(method: str, params: Object) -> bytes:
            return await self._asking.ask(method, jsonrpc.encode(params), limit=LIST_LIMIT)

        return await read_lists(ask, self.facts, self._backend, known)

    def start(self, call: Call, listener: Listener) -> int:
        """See `Upstream.start`. A call refused for its session has not run, and is sent once more in the next one."""
        if call.log_level is not None and is_more_verbose(call.log_level, self._level):
            self._level = call.log_level
            self._set_level()
        opened = self._calls.start(call, listener)
        opened.send(call)
        return opened.number

    def cancel(self, number: int, reason: str) -> None:
        """See `Upstream.cancel`."""
        opened = self._calls.forget(number)
        if opened is None:
            return
        self._questions.forget(opened)
        if opened.request_id is not None:
            params = jsonrpc.encode({"requestId": opened.request_id, "reason": reason})
            self._transport.drop(opened.request_id)
            self._transport.send(jsonrpc.notification("notifications/cancelled", params), NO_HEADERS)

    def subscribe(self, uris: frozenset[str]) -> None:
        """See `Upstream.subscribe`."""
        if self.facts.offers("resources", "subscribe"):
            self._subscriptions.want(uris)

    def stop(self) -> None:
        """See `Upstream.stop`."""
        if self._renewal is not None:
            self._renewal.cancel()

    def _send(self, opened: OpenCall, request_id: int) -> None:
        call = opened.call
        opened.session = self._sessions
        params = call.params
        if call.wants_progress or call.meta != b"{}":
            meta = call.meta
            if call.wants_progress:
                meta = jsonrpc.with_member(meta, jsonrpc.PROGRESS_KEY, b"%d" % request_id)
            params = jsonrpc.with_member(params, "_meta", meta)
        sink = CallSink(
            call,
            opened.listener,
            era=Era.HANDSHAKE,
            backend=self._backend,
            notified=self._heard,
            requested=partial(self._requested, opened),
            finish=partial(self._ended, opened),
        )
        self._transport.open(request_id, jsonrpc.request(request_id, call.method, params), NO_HEADERS, sink)

    def _ended(self, opened: OpenCall, outcome: Outcome) -> None:
        self._questions.forget(opened)
        unseen = isinstance(outcome, Failure) and outcome.kind is FailureKind.UNAVAILABLE and not opened.repaired
        renewal = self._renewal_since(opened.session) if unseen else None
        if renewal is None:
            opened.finish(outcome)
        else:
            opened.send_after(renewal, outcome)

    def _heard(self, message: Message) -> None:
        """What came on no call's stream, or on one and means all: over stdio that is most of what there is."""
        match message.method:
            case _ if message.id:
                self._requested(None, message)
            case "notifications/cancelled":
                self._taken_back(message)
            case "notifications/message":
                self._calls.log(message)
            case _:
                self._notified(message)

    def _requested(self, opened: OpenCall | None, message: Message) -> None:
        """Answer a request of the server: a ping at once, a question when the client of its call has answered it."""
        if message.method == "ping":
            self._transport.send(jsonrpc.result_response(bytes(message.id), b"{}"), NO_HEADERS)
        elif opened is not None:
            self._questions.ask(message, opened)
        elif (likely := self._likely_call(message)) is not None:
            self._questions.ask(message, likely)
        else:
            self._questions.refuse(message, AMBIGUOUS if len(self._calls) else NO_CALL)

    def _likely_call(self, message: Message) -> OpenCall | None:
        """The call that a question without a hint belongs to: of one caller's calls one that can ask, or else any."""
        calls = list(self._calls.of_one_owner())
        method, params = message.method or "", bytes(message.params) or b"{}"
        able = (opened for opened in calls if supports(opened.call.capabilities, method, params))
        return next(able, calls[0] if calls else None)

    def _taken_back(self, message: Message) -> None:
        try:
            self._questions.withdraw(bytes(jsonrpc.decode(_cancelled_decoder, message.params).request_id))
        except msgspec.DecodeError:
            log.info("cancellation_ignored", backend=self._backend)

    def _set_level(self) -> None:
        if self._level is None or not self.facts.offers("logging"):
            return

        def done(error: UpstreamError | None) -> None:
            if error is not None:
                log.info("level_refused", backend=self._backend, reason=str(error))

        params = jsonrpc.encode({"level": self._level})
        self._asking.tell("logging/setLevel", params, limit=LEVEL_LIMIT, done=done)

    def _lost_session(self) -> None:
        self._questions.withdraw_all()
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
        self._set_level()
        self._subscriptions.begin_again()
        self._notified(LISTS_MAY_DIFFER)  # a server that forgets has mostly been started again
        return True
