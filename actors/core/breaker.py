"""The circuit breaker of one replica.

Closed admits every call. Open admits none. Half-open admits a few probes at once; enough successes in a row close
the breaker, one failure opens it again, for longer each time. Somebody who knows better can trip and reset it by hand.

Every change of state is a row of `TRANSITIONS`; a pair which is not there cannot happen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from actors.core.backoff import Backoff
from actors.core.traffic_settings import BreakerSettings
from actors.core.window import Window


class State(StrEnum):
    """Where the breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Event(StrEnum):
    """What can move it."""

    TRIPPED = "tripped"
    """By its calls: too many failed in a row, or too many of those in the window."""
    OPEN_ELAPSED = "open_elapsed"
    PROBES_SUCCEEDED = "probes_succeeded"
    PROBE_FAILED = "probe_failed"
    TRIPPED_BY_HAND = "tripped_by_hand"
    RESET_BY_HAND = "reset_by_hand"


TRANSITIONS: Final = {
    (State.CLOSED, Event.TRIPPED): State.OPEN,
    (State.OPEN, Event.OPEN_ELAPSED): State.HALF_OPEN,
    (State.HALF_OPEN, Event.PROBES_SUCCEEDED): State.CLOSED,
    (State.HALF_OPEN, Event.PROBE_FAILED): State.OPEN,
    (State.CLOSED, Event.TRIPPED_BY_HAND): State.OPEN,
    (State.OPEN, Event.TRIPPED_BY_HAND): State.OPEN,
    (State.HALF_OPEN, Event.TRIPPED_BY_HAND): State.OPEN,
    (State.CLOSED, Event.RESET_BY_HAND): State.CLOSED,
    (State.OPEN, Event.RESET_BY_HAND): State.CLOSED,
    (State.HALF_OPEN, Event.RESET_BY_HAND): State.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; hand it back through `Breaker.record` or `Breaker.release`."""

    epoch: int


class Breaker:
    """Admits or refuses calls to one replica.

    Callers pass `now` from a monotonic clock, in seconds, and hand every permit back exactly once. `dice` gives numbers
    from 0 up to 1 and spreads the times for which it opens again; without it each is as long as it can be.
    """

    def __init__(self, settings: BreakerSettings, dice: Callable[[], float] | None = None) -> None:
        self._settings = settings
        self._dice = dice
        first = settings.open_seconds
        self._backoff = Backoff(first=first, cap=max(first, settings.max_open_seconds))
        self._window = Window(settings.window_seconds)
        self._state = State.CLOSED
        self._epoch = 0
        self._failures = 0
        self._successes = 0
        self._probes = 0
        self._reopened = 0
        """How often a probe has failed since it was closed."""
        self._probes_at = 0.0
        """When an open one admits probes."""
        self._by_hand = False
        """Whether somebody opened it, and means it to stay so."""
        self.transitions: tuple[int, ...] = ()
        """How often each `Event` has moved it, in the order of these; empty as long as none has."""

    @property
    def state(self) -> State:
        """The state as of the last call of a method that takes a permit or gives one, or moves it by hand."""
        return self._state

    def admit(self, now: float) -> Permit | None:
        """Give a permit for one call, or nothing."""
        if self._state is State.OPEN and now >= self._probes_at:
            self._fire(Event.OPEN_ELAPSED, now)
        if self._state is State.OPEN:
            return None
        if self._state is State.HALF_OPEN:
            if self._probes >= self._settings.probe_limit:
                return None
            self._probes += 1
        return Permit(self._epoch)

    def record(self, permit: Permit, *, success: bool, now: float) -> None:
        """Account for the call which `permit` admitted."""
        if permit.epoch != self._epoch:
            return  # admitted before the last change of state: old news
        if self._state is State.HALF_OPEN:
            self._record_probe(success=success, now=now)
            return
        self._window.record(now, failed=not success)
        self._failures = 0 if success else self._failures + 1
        if not success and self._has_enough(now):
            self._fire(Event.TRIPPED, now)

    def release(self, permit: Permit) -> None:
        """Hand back a permit whose call says nothing about the server: the client cancelled it."""
        if permit.epoch == self._epoch and self._state is State.HALF_OPEN:
            self._probes -= 1

    def retry_after(self, now: float) -> float | None:
        """Seconds until an open breaker admits a probe; nothing if it is not open."""
        return max(0.0, self._probes_at - now) if self._state is State.OPEN else None

    def trip(self, now: float) -> None:
        """Open it by hand. It admits probes after the usual time, which begins anew if it was open."""
        self._fire(Event.TRIPPED_BY_HAND, now)

    def reset(self, now: float) -> None:
        """Close it by hand, and hold nothing against the server; calls under way say nothing any more."""
        self._fire(Event.RESET_BY_HAND, now)

    def renew(self, now: float) -> None:
        """There is another server in the place of the one that failed: an open breaker tries it at once."""
        if self._state is State.OPEN and not self._by_hand:
            self._probes_at = now

    def _has_enough(self, now: float) -> bool:
        """Whether the failures up to this one trip it."""
        settings = self._settings
        if self._failures >= settings.failure_threshold:
            return True
        calls, failures = self._window.counts(now)
        return calls >= settings.min_calls and failures / calls >= settings.error_rate

    def _record_probe(self, *, success: bool, now: float) -> None:
        if not success:
            self._fire(Event.PROBE_FAILED, now)
            return
        self._probes -= 1
        self._successes += 1
        if self._successes >= self._settings.successes_to_close:
            self._fire(Event.PROBES_SUCCEEDED, now)

    def _fire(self, event: Event, now: float) -> None:
        self._state = TRANSITIONS[self._state, event]
        counts = self.transitions or (0,) * len(Event)
        self.transitions = tuple(count + (each is event) for each, count in zip(Event, counts, strict=True))
        self._by_hand = event is Event.TRIPPED_BY_HAND
        self._epoch += 1
        self._failures = self._successes = self._probes = 0
        self._window.clear()
        if event is Event.PROBE_FAILED:
            self._reopened += 1
        elif self._state is State.CLOSED:
            self._reopened = 0
        if self._state is State.OPEN:
            self._probes_at = now + self._open_seconds()

    def _open_seconds(self) -> float:
        """How long it stays open this time."""
        first = self._settings.open_seconds
        if not self._reopened:
            return first
        dice = self._dice() if self._dice is not None else 1.0
        return max(first, self._backoff.delay(self._reopened, dice))
