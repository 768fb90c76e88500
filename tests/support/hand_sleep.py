"""Sleeps that end by hand, and move a clock when they do."""

import asyncio

from tests.support.hand_clock import HandClock


class HandSleep:
    """Takes the place of `asyncio.sleep`."""

    def __init__(self, clock: HandClock) -> None:
        self.taken: list[float] = []
        """Every sleep so far, in seconds."""
        self._clock = clock
        self._sleepers: dict[asyncio.Future[None], float] = {}

    async def __call__(self, seconds: float) -> None:
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.taken.append(seconds)
        self._sleepers[waking] = seconds
        try:
            await waking
        finally:
            del self._sleepers[waking]

    @property
    def asleep(self) -> list[float]:
        """The sleeps that have not ended."""
        return list(self._sleepers.values())

    def wake(self) -> None:
        """Let the time of the longest sleep pass."""
        self._clock.advance(max(self._sleepers.values()))
        for waking in self._sleepers:
            if not waking.done():
                waking.set_result(None)
