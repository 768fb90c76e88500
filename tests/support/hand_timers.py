"""Timers that go off by hand."""

import math
from collections.abc import Callable


class HandTimer:
    """One of them."""

    def __init__(self, seconds: float, callback: Callable[[], None]) -> None:
        self.seconds = seconds
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class HandTimers:
    """Stands in for a loop's `call_later`."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        """Every number of seconds asked for."""
        self._set: list[HandTimer] = []

    def __call__(self, seconds: float, callback: Callable[[], None]) -> HandTimer:
        self.pauses.append(seconds)
        self._set = [*(timer for timer in self._set if timer.callback), HandTimer(seconds, callback)]
        return self._set[-1]

    @property
    def running(self) -> list[float]:
        """The seconds of those that wait and were not cancelled."""
        return [timer.seconds for timer in self._set if timer.callback]

    def go_off(self, within: float = math.inf) -> None:
        """Run those that wait now, for so many seconds at the most, and were not cancelled."""
        due = [timer for timer in self._set if timer.seconds <= within]
        self._set = [timer for timer in self._set if timer.seconds > within]
        for timer in due:
            if timer.callback:
                timer.callback()
