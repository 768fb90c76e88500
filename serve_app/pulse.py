"""Notices that the Ray we run on has died, which none of its actors could tell.

It is Ray that is asked, not the Router: a Router that restarts is no reason to end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

PERIOD_SECONDS: Final = 2.0
"""Between two checks."""

CHECK_SECONDS: Final = 5.0
"""A check that takes longer has failed; on a busy machine one may."""

MISSES: Final = 3
"""Checks that must fail one after the other."""


async def until_lost(
    check: Callable[[], Awaitable[bool]],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    *,
    limit: float = CHECK_SECONDS,
) -> None:
    """Return once `MISSES` checks in a row were false, raised, or took longer than `limit` seconds."""
    missed = 0
    while missed < MISSES:
        await sleep(PERIOD_SECONDS)
        missed = 0 if await _passes(check, limit) else missed + 1


async def _passes(check: Callable[[], Awaitable[bool]], limit: float) -> bool:
    try:
        async with asyncio.timeout(limit):
            return await check()
    except Exception:  # noqa: BLE001 - what a dying Ray raises is not known, and means the same
        return False
