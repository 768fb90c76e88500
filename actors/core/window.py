"""Calls and failures of the last while, in a few buckets: bounded however many calls there are."""

from collections import deque
from typing import Final, NamedTuple

BUCKETS: Final = 10
"""Time leaves the window in steps of a tenth of it."""


class Counts(NamedTuple):
    """What a window holds."""

    calls: int
    failures: int


class Window:
    """Counts what happened in the last `seconds`, of which the oldest tenth may be forgotten already.

    Callers pass `now` from a monotonic clock, in seconds.
    """

    def __init__(self, seconds: float) -> None:
        if seconds <= 0:
            raise ValueError("seconds must be positive")
        self._width = seconds / BUCKETS
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS)
        """The latest last; those without a call are left out."""

    def record(self, now: float, *, failed: bool) -> None:
        """Account for one call that ended."""
        number = int(now // self._width)
        if not self._buckets or self._buckets[-1].number != number:
            self._buckets.append(_Bucket(number))
        bucket = self._buckets[-1]
        bucket.calls += 1
        bucket.failures += failed

    def counts(self, now: float) -> Counts:
        """The sums over the window as it is now."""
        oldest = int(now // self._width) - BUCKETS
        buckets = [bucket for bucket in self._buckets if bucket.number > oldest]
        return Counts(sum(bucket.calls for bucket in buckets), sum(bucket.failures for bucket in buckets))

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()


class _Bucket:
    """A tenth of a window, by its number since the clock began."""

    __slots__ = ("calls", "failures", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.failures = 0
