"""Two ways to one URL: one for calls, and one for what is no call."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from actors.transports.http_pool import HttpPool

SIDE_POOL: Final = 16
"""Connections for what is no call. Were they shared, calls that wait for our answer could keep it from leaving: some
servers hold the POST of a call until the call is done, and ask us meanwhile."""

CLOSE_SECONDS: Final = 2.0


class HttpLanes:
    """Of one conversation."""

    def __init__(self, pool: Callable[[int], HttpPool], size: int) -> None:
        """`pool` makes one of so many connections, not started; `size` is that for calls."""
        self.calls: Final = pool(size)
        self.side: Final = pool(SIDE_POOL)

    def start(self) -> None:
        """See `HttpPool.start`."""
        self.calls.start()
        self.side.start()

    async def close(self) -> None:
        """Close every connection, within a few seconds."""
        for pool in (self.calls, self.side):
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await pool.close()
