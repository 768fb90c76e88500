"""How fast a replica gets through its calls while it has more than it can do, and so when to come back."""

from collections import deque
from typing import Final

LEAST_SECONDS: Final = 1.0
"""Who was refused because of too many calls comes back no sooner."""

MOST_SECONDS: Final = 60.0
"""Beyond a minute nobody knows."""

MAX_MARKS: Final = 64
"""Calls looked back at: enough for a steady figure, and few enough to follow a change."""


class Pace:
    """Measures while there is more to do than can be done. Callers pass `now` from a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._marks: deque[float] = deque(maxlen=MAX_MARKS)
        """When the measuring began, and then each end of a call; the oldest go."""
        self._known = 0.0
        """Seconds for each call, as it was measured the last time."""

    @property
    def measuring(self) -> bool:
        """Whether it is between `begin` and `end`."""
        return bool(self._marks)

    def begin(self, now: float) -> None:
        """There is no room from now on; again is as good as once."""
        if not self._marks:
            self._marks.append(now)

    def finished(self, now: float) -> None:
        """A call is over."""
        if self._marks:
            self._marks.append(now)

    def end(self) -> None:
        """There is room again: from now on calls end as they come, which says nothing."""
        if len(self._marks) > 1:
            self._known = (self._marks[-1] - self._marks[0]) / (len(self._marks) - 1)
        self._marks.clear()

    def seconds_for(self, calls: int, now: float) -> float:
        """How long so many calls take, from `LEAST_SECONDS` to `MOST_SECONDS`.

        As long as none has ended, one takes as long as was waited for it by now, or as it took the last time.
        """
        ended = len(self._marks) - 1
        since = now - self._marks[0] if self._marks else 0.0
        each = since / ended if ended > 0 else max(since, self._known)
        return min(max(calls * each, LEAST_SECONDS), MOST_SECONDS)
