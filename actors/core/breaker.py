"""The circuit breaker of one replica.

Closed admits every call. Open admits none. Half-open admits a few probes at once; enough successes in a row close
the breaker, one failure opens it again.

Every change of state is a row of `TRANSITIONS`; a pair which is not there cannot happen.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from actors.core.settings import BreakerSettings


class State(StrEnum):
    """Where the breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Event(StrEnum):
    """What can move it."""

    TRIPPED = "tripped"
    OPEN_ELAPSED = "open_elapsed"
    PROBES_SUCCEEDED = "probes_succeeded"
    PROBE_FAILED = "probe_failed"


TRANSITIONS: Final = {
    (State.CLOSED, Event.TRIPPED): State.OPEN,
    (State.OPEN, Event.OPEN_ELAPSED): State.HALF_OPEN,
    (State.HALF_OPEN, Event.PROBES_SUCCEEDED): State.CLOSED,
    (State.HALF_OPEN, Event.PROBE_FAILED): State.OPEN,
}


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; hand it back through `Breaker.record` or `Breaker.release`."""

    epoch: int


class Breaker:
    """Admits or refuses calls to one replica.

    Callers pass `now` from a monotonic clock, in seconds, and hand every permit back exactly once.
    """

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._state = State.CLOSED
        self._epoch = 0
        self._failures = 0
        self._successes = 0
        self._probes = 0
        self._opened_at = 0.0

    @property
    def state(self) -> State:
        """The state as of the last `admit`, `record` or `release`."""
        return self._state

    def admit(self, now: float) -> Permit | None:
        """Give a permit for one call, or nothing."""
        if self._state is State.OPEN and now - self._opened_at >= self._settings.open_seconds:
            self._fire(Event.OPEN_ELAPSED)
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
            self._record_probe(success=success)
        else:
            self._failures = 0 if success else self._failures + 1
            if self._failures >= self._settings.failure_threshold:
                self._fire(Event.TRIPPED)
        if self._state is State.OPEN:
            self._opened_at = now

    def release(self, permit: Permit) -> None:
        """Hand back a permit whose call says nothing about the server: the client cancelled it."""
        if permit.epoch == self._epoch and self._state is State.HALF_OPEN:
            self._probes -= 1

    def retry_after(self, now: float) -> float | None:
        """Seconds until an open breaker admits a probe; nothing if it is not open."""
        if self._state is not State.OPEN:
            return None
        return max(0.0, self._opened_at + self._settings.open_seconds - now)

    def _record_probe(self, *, success: bool) -> None:
        if not success:
            self._fire(Event.PROBE_FAILED)
            return
        self._probes -= 1
        self._successes += 1
        if self._successes >= self._settings.successes_to_close:
            self._fire(Event.PROBES_SUCCEEDED)

    def _fire(self, event: Event) -> None:
        self._state = TRANSITIONS[self._state, event]
        self._epoch += 1
        self._failures = self._successes = self._probes = 0
