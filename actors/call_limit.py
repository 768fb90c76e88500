"""How long a call may take: its own limit, which stands still while the server waits for the client."""

import asyncio
import math
from collections.abc import Callable
from typing import Final

from actors.upstream.upstream import CallLater

LEAST_SECONDS: Final = 1.0
"""What a call has left after an answer at the least: whoever took the trouble to answer deserves a try."""


class CallLimit:
    """One timer at a time: the call's, or the one of its questions. `clock` is monotonic and in seconds."""

    __slots__ = (
        "_anew",
        "_call_later",
        "_clock",
        "_ends",
        "_expired",
        "_last",
        "_most",
        "_parked",
        "_renewed",
        "_timer",
    )

    def __init__(
        self,
        clock: Callable[[], float],
        call_later: CallLater | None,
        *,
        anew: float | None = None,
        most: float = math.inf,
    ) -> None:
        """`call_later` is the loop's, if it is not given.

        `anew` is how many seconds a call has after it reported progress, within `most` in all; nothing if that changes
        nothing.
        """
        self._clock = clock
        self._call_later = call_later or asyncio.get_running_loop().call_later
        self._anew = anew
        self._most = most
        self._timer: asyncio.TimerHandle | None = None
        self._expired: Callable[[str], None] | None = None
        self._ends = self._last = 0.0
        self._renewed = False
        self._parked: float | None = None
        """Since when."""

    def start(self, seconds: float, expired: Callable[[str], None]) -> None:
        """Have `expired` called after so many seconds, with words for how long that was."""
        now = self._clock()
        self._expired = lambda words: expired(words or f"after {seconds:g} s")
        self._ends = now + seconds
        self._last = now + max(seconds, self._most)
        self._set(seconds, self._due)

    def renew(self) -> None:
        """The call has reported progress. The timer is left alone, and looks when it goes off."""
        if self._anew is not None and self._expired is not None:
            self._renewed = True
            now = self._clock() if self._parked is None else self._parked
            self._ends = max(self._ends, min(now + self._anew, self._last))

    def park(self, seconds: float, expired: Callable[[], None]) -> None:
        """Stand still, and have another function called if that lasts too long; parking again begins it anew."""
        if self._parked is None:
            self._parked = self._clock()
        self._set(seconds, expired)

    def go_on(self) -> None:
        """Go on with what was left when it was parked."""
        if self._parked is not None and self._expired is not None:
            now, since, self._parked = self._clock(), self._parked, None
            left = max(LEAST_SECONDS, self._ends - since)
            self._ends = now + left
            self._last = max(self._last + now - since, self._ends)
            self._set(left, self._due)

    def stop(self) -> None:
        """Call nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._expired = None

    def _due(self) -> None:
        left = self._ends - self._clock()
        if self._renewed and left > 0:
            self._set(left, self._due)
        elif self._expired is not None:
            self._expired(self._words if self._renewed else "")

    @property
    def _words(self) -> str:
        if self._ends >= self._last:
            return f"after {self._most:g} s in all"
        return f"after {self._anew:g} s without progress"

    def _set(self, seconds: float, expired: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._call_later(seconds, expired)
