"""The calls of one replica that wait for room: in a bounded line, each for a bounded time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from actors.bus.exchange import Exchange
from actors.core.cost import cost_class
from actors.core.outcome import Failure, FailureKind
from actors.core.pace import Pace
from actors.core.settings import BackendSettings
from actors.core.waiting_line import WaitingLine
from actors.upstream.upstream import CallLater


class WaitingCalls:
    """Keeps calls until there is room, or refuses them as busy. No task: callbacks and one timer for all of them.

    `has_room` tells whether one more may be sent. `send` sends or refuses a call, and is told how many seconds it
    waited. `clock` is monotonic and in seconds; `call_later` is the loop's, if it is not given.
    """

    def __init__(
        self,
        settings: BackendSettings,
        has_room: Callable[[], bool],
        send: Callable[[Exchange, float], None],
        clock: Callable[[], float],
        call_later: CallLater | None = None,
    ) -> None:
        self._settings = settings
        self._has_room = has_room
        self._send = send
        self._clock = clock
        self._call_later = call_later
        self._line: WaitingLine[_Waiting] = WaitingLine(settings.queue_limit)
        self._pace = Pace()
        self._timer: asyncio.TimerHandle | None = None
        self._goes_off_at = 0.0
        self._will_advance = False

    def __len__(self) -> int:
        return len(self._line)

    def enter(self, exchange: Exchange) -> None:
        """Let a call wait for which there is no room, or refuse it or a more expensive one for which there is none
        in the line either."""
        now = self._clock()
        self._pace.begin(now)
        waiting = _Waiting(exchange, now)
        until = now + min(self._settings.queue_seconds, exchange.call.time_left)
        shed = self._line.enter(waiting, cost=cost_class(exchange.call), until=until)
        if shed is not waiting:
            exchange.on_cancel = partial(self._cancelled, waiting)
            self._watch_time(now)
        if shed is not None:
            self._shed(shed, now)

    def freed(self) -> None:
        """A call is over or waits for its client: there may be room."""
        if not self._pace.measuring:
            return  # nobody waits
        self._pace.finished(self._clock())
        if not self._will_advance:
            # not at once: the call that ends here has not been told its outcome, and the next may end as it is sent
            self._will_advance = True
            self._later(0.0, self._advance)

    def cancelled_origin(self, origin: bytes) -> None:
        """Let go of those made for one downstream request, or in one downstream session."""
        for waiting in list(self._line):
            if origin in (waiting.exchange.call.origin, waiting.exchange.call.session):
                self._cancelled(waiting, "the client cancelled the request")

    def refuse(self, failure: Failure) -> None:
        """Let nobody wait any more."""
        for waiting in self._line.clear():
            waiting.exchange.finish(failure)
        self._watch_time(self._clock())

    def _advance(self) -> None:
        """Send those whose turn it is, as long as there is room."""
        self._will_advance = False
        now = self._clock()
        while self._has_room():
            waiting = self._line.next()
            if waiting is None:
                self._pace.end()
                break
            self._send(waiting.exchange, now - waiting.since)
        self._watch_time(now)

    def _cancelled(self, waiting: "_Waiting", reason: str) -> None:
        self._line.leave(waiting)
        waiting.exchange.finish(Failure(FailureKind.CANCELLED, self._settings.name, reason))
        self._watch_time(self._clock())

    def _shed(self, waiting: "_Waiting", now: float) -> None:
        retry_after = self._pace.seconds_for(len(self._line) + 1, now)
        waiting.exchange.finish(Failure(FailureKind.BUSY, self._settings.name, retry_after=retry_after))

    def _watch_time(self, now: float) -> None:
        """Have the timer go off when the first of them has waited for long enough, or sooner."""
        end = self._line.next_end
        if self._timer is not None:
            if end is not None and self._goes_off_at <= end:
                return  # sooner does no harm, and a new one for each call would cost
            self._timer.cancel()
            self._timer = None
        if end is not None:
            self._goes_off_at = end
            self._timer = self._later(max(0.0, end - now), self._time_over)

    def _time_over(self) -> None:
        self._timer = None
        now = self._clock()
        for waiting in self._line.expire(now):
            self._shed(waiting, now)
        self._watch_time(now)

    def _later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return (self._call_later or asyncio.get_running_loop().call_later)(seconds, callback)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A call, and since when it has waited."""

    exchange: Exchange
    since: float
