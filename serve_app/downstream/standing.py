"""Whether a client whose connection stays open is still welcome: its credential may have expired or been revoked."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from actors.core.caller import Caller
from serve_app.denial import Denial

UNAUTHORIZED: Final = 401
"""The status of those whose credential is worth nothing; others change nothing, and may be over by the next look."""

Check = Callable[[], Awaitable[Caller | Denial]]
"""Recognises the client once more."""


async def until_unwelcome(check: Check, seconds: float) -> Denial:
    """Look every so many seconds, and give the denial of a client that is not welcome any more."""
    while True:
        await asyncio.sleep(seconds)
        found = await check()
        if isinstance(found, Denial) and found.status == UNAUTHORIZED:
            return found


@contextmanager
def standing(check: Check | None, end: Callable[[], None], seconds: float) -> Iterator[None]:
    """As long as the block lasts, have `end` called when the client is not welcome any more."""

    async def look() -> None:
        if check is not None:
            await until_unwelcome(check, seconds)
            end()

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()
