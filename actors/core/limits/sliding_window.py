"""Counts the calls within a window that moves with time, by two counters.

The calls of the window before are taken to have been evenly spread over it; so much of it as the moving window still
covers counts.
"""

from actors.core.limit_settings import RateSettings
from actors.core.limits.token_bucket import ENOUGH


class SlidingWindow:
    """See `Allowance`. Callers pass times from one clock, in seconds, that never goes back."""

    __slots__ = ("_before", "_calls", "_here", "_room", "_seconds", "_start")

    def __init__(self, rate: RateSettings, now: float) -> None:
        self._calls = float(rate.calls)
        self._seconds = rate.seconds
        self._start = now
        self._before = 0.0
        self._here = 0.0
        self._room = self._calls

    def ask(self, now: float) -> float:
        """See `Allowance.ask`."""
        if now - self._start >= self._seconds:
            self._roll(now)
        self._room = self._calls - self._here - self._before * (1.0 - (now - self._start) / self._seconds)
        return 0.0 if self._room >= ENOUGH else self._wait(now)

    def take(self) -> float:
        """See `Allowance.take`."""
        self._here += 1.0
        self._room -= 1.0
        return self._room

    def reset(self, now: float) -> float:
        """See `Allowance.reset`."""
        self._roll(now)
        windows = 2 if self._here > 0 else 1 if self._before > 0 else 0
        return max(0.0, self._start + windows * self._seconds - now)

    def room(self, now: float) -> float:
        """How many calls may be made now; negative if too many were made."""
        return self._calls - self._counted(now)

    def wait(self, now: float, room: float) -> float:
        """How many seconds until there is room for one call; `room` is what there is now."""
        return 0.0 if room >= ENOUGH else max(0.0, self._wait(now))

    def growth(self, now: float, ahead: float) -> float:
        """How many calls a second become possible in the seconds to come, `ahead` of them."""
        return max(0.0, self._counted(now) - self._counted(now + ahead)) / ahead

    def start_from(self, room: float) -> None:
        """Begin with so much room, as somebody remembers it."""
        self._before = max(0.0, self._calls - room)

    def settle(self, now: float, *, spent: float, unseen: float, lag: float) -> None:
        """Count calls that were made elsewhere, evenly over the last `lag` seconds; `unseen` matters to buckets."""
        self._roll(now)
        before = min(1.0, max(0.0, self._start - (now - lag)) / lag)
        self._before += spent * before
        self._here += spent * (1.0 - before)

    def _counted(self, now: float) -> float:
        passed = (now - self._start) / self._seconds
        if passed < 1.0:
            return self._here + self._before * (1.0 - passed)
        return self._here * (2.0 - passed) if passed < 2.0 else 0.0

    def _roll(self, now: float) -> None:
        windows = int((now - self._start) / self._seconds)
        if windows > 0:
            self._before = self._here if windows == 1 else 0.0
            self._here = 0.0
            self._start += windows * self._seconds

    def _wait(self, now: float) -> float:
        """Until there is room for one: in this window as what was before it moves out, else in the next."""
        most = self._calls - 1.0
        if self._here <= most and self._before > 0:
            share = 1.0 - (most - self._here) / self._before
            return max(0.0, self._start + share * self._seconds - now)
        share = 1.0 - most / self._here if self._here > most else 0.0
        return self._start + (1.0 + share) * self._seconds - now
