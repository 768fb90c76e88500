"""How long a call may take: its own limit, which stands still while the server waits for the client."""

import asyncio
from collections.abc import Callable
from typing import Final

from actors.upstream.upstream import CallLater

LEAST_SECONDS: Final = 1.0
"""What a call has left after an answer at the least: whoever took the trouble to answer deserves a try."""


class CallLimit:
    """One timer at a time: the call's, or the one of its questions. `clock` is monotonic and in seconds."""

    __slots__ = ("_call_later", "_clock", "_ends", "_expired", "_left", "_timer")

    def __init__(self, clock: Callable[[], float], call_later: CallLater | None) -> None:
        """`call_later` is the loop's, if it is not given."""
        self._clock = clock
        self._call_later = call_later or asyncio.get_running_loop().call_later
        self._timer: asyncio.TimerHandle | None = None
        self._expired: Callable[[], None] | None = None
        self._ends = 0.0
        self._left: float | None = None

    def start(self, seconds: float, expired: Callable[[], None]) -> None:
        """Have `expired` called after so many seconds."""
        self._expired = expired
        self._ends = self._clock() + seconds
        self._set(seconds, expired)

    def park(self, seconds: float, expired: Callable[[], None]) -> None:
        """Stand still, and have another function called if that lasts too long; parking again begins it anew."""
        if self._left is None:
            self._left = max(LEAST_SECONDS, self._ends - self._clock())
        self._set(seconds, expired)

    def go_on(self) -> None:
        """Go on with what was left when it was parked."""
        if self._left is not None and self._expired is not None:
            left, self._left = self._left, None
            self.start(left, self._expired)

    def stop(self) -> None:
        """Call nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._expired = None

    def _set(self, seconds: float, expired: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._call_later(seconds, expired)
