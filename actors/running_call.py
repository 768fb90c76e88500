"""One call between an exchange and a server: started, followed, ended once, and handed back to the breaker."""

import math
from collections.abc import Callable
from typing import Final

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.call_limit import CallLimit
from actors.core import ask, jsonrpc
from actors.core.breaker import Breaker, Permit
from actors.core.outcome import Failure, FailureKind, Outcome
from actors.upstream.upstream import CallLater, Upstream

SPEAKS_WELL: Final[dict[FailureKind, bool | None]] = {
    FailureKind.UNAVAILABLE: False,
    FailureKind.BREAKER_OPEN: None,
    FailureKind.BUSY: None,
    FailureKind.TIMEOUT: False,
    FailureKind.DISCONNECTED: False,
    FailureKind.TOO_LARGE: False,
    FailureKind.PROTOCOL: False,
    FailureKind.CANCELLED: None,
    FailureKind.UNSUPPORTED: None,
    FailureKind.SUPERSEDED: None,
    FailureKind.REPLAYED: None,
    FailureKind.SESSION_LOST: None,
    FailureKind.UNAUTHORIZED: None,
    FailureKind.CONSENT: None,
}
"""What a failure tells the breaker of the server; `None` is nothing at all."""

MAX_ASKS: Final = 256
"""Questions of one call in all. Each stops the clock for a while: without an end to them a call would have none."""


class RunningCall:
    """Listens to the server on behalf of an exchange. No task of its own: callbacks and one timer.

    While a question of the server waits for its answer the call is parked: its own limit stands still, and
    `park_seconds` count instead. `may_park` is asked before that, and can refuse. `anew` and `most` are what progress
    does to that limit, see `CallLimit`. `clock` is monotonic, in seconds; `call_later` is the loop's, if not given.
    """

    __slots__ = (
        "_asked",
        "_asks",
        "_breaker",
        "_clock",
        "_exchange",
        "_limit",
        "_may_park",
        "_name",
        "_number",
        "_on_finished",
        "_park_seconds",
        "_permit",
        "_upstream",
        "_waits",
    )

    def __init__(
        self,
        exchange: Exchange,
        name: str,
        on_finished: Callable[["RunningCall"], None],
        breaker: Breaker,
        permit: Permit,
        clock: Callable[[], float],
        *,
        park_seconds: float,
        may_park: Callable[[], bool],
        anew: float | None = None,
        most: float = math.inf,
        call_later: CallLater | None = None,
    ) -> None:
        self._exchange = exchange
        self._name = name
        self._on_finished = on_finished
        self._breaker = breaker
        self._permit: Permit | None = permit
        self._clock = clock
        self._park_seconds = park_seconds
        self._may_park = may_park
        self._limit = CallLimit(clock, call_later, anew=anew, most=most)
        self._waits = False
        self._upstream: Upstream | None = None
        self._number: int | None = None
        self._asks: dict[int, Callable[[bytes], None]] = {}
        self._asked = 0

    @property
    def id(self) -> bytes:
        """The exchange's."""
        return self._exchange.id

    @property
    def origin(self) -> bytes | None:
        """The downstream request it is for."""
        return self._exchange.call.origin

    @property
    def ran(self) -> bool:
        """Whether it was sent to the server."""
        return self._upstream is not None

    @property
    def parked(self) -> bool:
        """Whether a question of the server waits for the client's answer."""
        return bool(self._asks)

    def wait(self, seconds: float) -> None:
        """Be there before the conversation is: the call can be cancelled, and is given up after so many seconds."""
        self._waits = True
        self._exchange.on_cancel = self.cancel
        self._exchange.on_answer = self._answered
        self._limit.start(seconds, self._expired)

    def start(self, upstream: Upstream, seconds: float) -> None:
        """Send the call; it is given up after so many seconds, counted from `wait` if that came first."""
        if not self._waits:
            self.wait(seconds)
        if self._permit is None:
            return
        self._upstream = upstream
        self._number = upstream.start(self._exchange.call, self)

    def progress(self, params: bytes) -> None:
        """See `Listener.progress`; dropped when the reader is too slow, as progress may be."""
        self._limit.renew()
        self._exchange.emit(EventKind.PROGRESS, params)

    def log(self, params: bytes) -> None:
        """See `Listener.log`; dropped when the reader is too slow."""
        self._exchange.emit(EventKind.LOG, params)

    def ask(self, data: bytes, answered: Callable[[bytes], None]) -> int | None:
        """See `Listener.ask`. Rungs, in order:

        1. A call that is over asks nothing, nor one that has asked too often.
        2. No more calls are parked than may be.
        3. The exchange takes only so many questions, and none that is too large.
        """
        if self._permit is None or self._asked >= MAX_ASKS:
            return None
        if not self._asks and not self._may_park():
            return None
        if not self._exchange.emit(EventKind.ASK, data):
            return None
        self._asked += 1
        number = self._exchange.last_seq
        self._asks[number] = answered
        self._limit.park(self._park_seconds, self._unanswered)
        return number

    def withdraw(self, number: int) -> None:
        """See `Listener.withdraw`."""
        if self._asks.pop(number, None) is not None:
            self._exchange.withdraw(number)
            self._exchange.emit(EventKind.WITHDRAWN, b"%d" % number)  # whoever was asked already stops asking the user
            self._go_on()

    def finished(self, outcome: Outcome) -> None:
        """See `Listener.finished`."""
        # a JSON-RPC error, a tool's own above all, is an answer
        self._end(outcome, speaks_well=SPEAKS_WELL[outcome.kind] if isinstance(outcome, Failure) else True)

    def cancel(self, reason: str) -> None:
        """The client wants it no more: tell the server."""
        self._give_up(Failure(FailureKind.CANCELLED, self._name, reason), reason, speaks_well=None)

    def _expired(self, detail: str) -> None:
        self._give_up(Failure(FailureKind.TIMEOUT, self._name, detail), "timeout", speaks_well=False)

    def _unanswered(self) -> None:
        detail = f"nobody answered the server's question within {self._park_seconds:g} s"
        asks = list(self._asks.values())
        # it is the client who was silent: that says nothing about the server
        self._give_up(Failure(FailureKind.TIMEOUT, self._name, detail), "nobody answered", speaks_well=None)
        for answered in asks:
            answered(ask.refusal(jsonrpc.error(jsonrpc.INTERNAL_ERROR, detail)))

    def _answered(self, number: int, value: bytes) -> None:
        answered = self._asks.pop(number, None)
        if answered is not None:
            self._go_on()
            answered(value)

    def _go_on(self) -> None:
        if not self._asks:
            self._limit.go_on()

    def _give_up(self, failure: Failure, reason: str, *, speaks_well: bool | None) -> None:
        if self._permit is None:
            return
        if self._upstream is not None and self._number is not None:
            self._upstream.cancel(self._number, reason)
        self._end(failure, speaks_well=speaks_well)

    def _end(self, outcome: Outcome, *, speaks_well: bool | None) -> None:
        permit, self._permit = self._permit, None
        if permit is None:
            return
        if speaks_well is None:
            self._breaker.release(permit)
        else:
            self._breaker.record(permit, success=speaks_well, now=self._clock())
        self._limit.stop()
        self._asks.clear()
        self._on_finished(self)  # first, so that the load on the outcome does not count it
        self._exchange.finish(outcome)
