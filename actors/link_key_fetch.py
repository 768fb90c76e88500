"""How a process of Backends gets its first link keys: it asks the Router, which may not have been told any yet."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from actors.bus.keychain import Keychain
from actors.refs.gone import ActorGone
from actors.refs.router import RouterRef

FETCH_SECONDS: Final = 30.0
"""How long it is asked; a Router that restarts is told by the command within seconds."""

PAUSE_SECONDS: Final = 0.3
"""Between two questions."""


async def fetch_link_keys(
    keys: Keychain,
    router: RouterRef,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    *,
    seconds: float = FETCH_SECONDS,
) -> None:
    """Return once there are keys: without any, no link can be taken. It is asked for so many seconds.

    Raises:
        TimeoutError: there were none for so long; it may be tried again.
    """
    async with asyncio.timeout(seconds):
        while not keys.keys.number:
            with suppress(ActorGone):
                keys.adopt(await router.link_keys())
            if not keys.keys.number:
                await sleep(PAUSE_SECONDS)
