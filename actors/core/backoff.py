"""How long to wait before the next attempt, and when attempts have become a crash loop."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits that grow by a factor up to a cap, spread by dice: peers who failed together should not return together."""

    first: float = 1.0
    """Seconds before the first attempt after a failure."""
    factor: float = 2.0
    cap: float = 60.0
    """Seconds no wait is longer than."""
    jitter: float = 0.5
    """The share of a wait which the dice decide: 1 is full jitter, 0.5 equal jitter, 0 none."""

    def __post_init__(self) -> None:
        if self.first <= 0 or self.cap < self.first:
            raise ValueError("first must be positive, and cap no less")
        if self.factor < 1:
            raise ValueError("factor must be at least 1")
        if not 0 <= self.jitter <= 1:
            raise ValueError("jitter must be between 0 and 1")

    def delay(self, attempt: int, dice: float) -> float:
        """Seconds to wait after `attempt` earlier waits, from 0; `dice` is evenly distributed over [0, 1)."""
        try:
            longest = min(self.cap, self.first * self.factor**attempt)
        except OverflowError:
            longest = self.cap
        return longest * (1 - self.jitter * (1 - dice))


class CrashLoop:
    """Tells a server that keeps dying from one that died: `limit` exits within a window of time."""

    def __init__(self, limit: int, window_seconds: float) -> None:
        if limit < 1:
            raise ValueError("limit must be at least 1")
        self._window_seconds = window_seconds
        self._exits: deque[float] = deque(maxlen=limit)

    def record(self, now: float) -> bool:
        """Account for an exit; whether it makes a crash loop. `now` is from a monotonic clock, in seconds."""
        self._exits.append(now)
        return len(self._exits) == self._exits.maxlen and now - self._exits[0] <= self._window_seconds

    def reset(self) -> None:
        """Forget all exits: somebody repaired or restarted it on purpose."""
        self._exits.clear()
