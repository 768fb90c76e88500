"""How many retries there may be: a share of the calls of late, so that retries never become the load themselves."""

from typing import Final

WINDOW_SECONDS: Final = 10
"""How far back calls and retries count."""

FLOOR: Final = 5
"""Retries within a window that are allowed whatever the share: a backend with few calls needs some, too."""


class RetryBudget:
    """Counts the calls to one backend and the retries among them. Times are from one monotonic clock, in seconds.

    Never more than `FLOOR` and `ratio` times the calls of the last `WINDOW_SECONDS` are retries of the same time.
    Counted by the second; the second that is half over counts for the retries and not for the calls.
    """

    __slots__ = ("_calls", "_retries", "ratio")

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self._calls: dict[int, int] = {}
        self._retries: dict[int, int] = {}

    def begin(self, now: float) -> None:
        """Account for a call."""
        second = int(now)
        calls = self._calls
        if second in calls:
            calls[second] += 1
        else:
            _forget(calls, second - WINDOW_SECONDS)
            calls[second] = 1

    def allows(self, now: float) -> bool:
        """Whether there is enough for one retry."""
        begun = int(now) - WINDOW_SECONDS
        calls = sum(count for second, count in self._calls.items() if second > begun)
        retries = sum(count for second, count in self._retries.items() if second >= begun)
        return retries + 1 <= FLOOR + self.ratio * calls

    def spend(self, now: float) -> None:
        """Account for a retry, which `allows` has allowed in the same moment."""
        second = int(now)
        _forget(self._retries, second - WINDOW_SECONDS)
        self._retries[second] = self._retries.get(second, 0) + 1


def _forget(counts: dict[int, int], begun: int) -> None:
    """Drop what is older than a window; this many entries are left at the most, and one for each second of it."""
    for second in [second for second in counts if second < begun]:
        del counts[second]
