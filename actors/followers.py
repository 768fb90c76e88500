"""Those who follow something that changes: they wait until it is another than they know, but never for ever."""

import asyncio
from collections.abc import Callable
from contextlib import suppress


class Followers:
    """Belongs to one event loop."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is how long each of them waits for one change."""
        self._seconds = seconds
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Have all who wait look again: it may be another now."""
        self._news.set()
        self._news = asyncio.Event()

    async def wait_while(self, is_known: Callable[[], bool]) -> None:
        """Return as soon as what there is is not known to this one, or after a while even so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while is_known():
                    await self._news.wait()
