"""Makes the keys of links, a new one every day or as configured, and sees that the Router knows them.

The command does so: a Router that restarts has forgotten them, and everything of this gateway ends with the command.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from actors.bus.mint import new_link_key
from actors.core.link_keys import LinkKey, LinkKeys
from actors.refs.gone import ActorGone

LOOK_SECONDS: Final = 1.0
"""Between two questions to the Router whether it knows: no replica can start while it does not."""

log = structlog.get_logger()


class Spreader(Protocol):
    """Who spreads them; `actors.refs.router.RouterRef` is one."""

    async def knows_link_key(self, number: int) -> bool:
        """See `RouterRef.knows_link_key`."""

    async def tell_link_keys(self, keys: LinkKeys) -> None:
        """See `RouterRef.tell_link_keys`."""


def mint(number: int, made_at: float) -> LinkKey:
    """The next key, from today on."""
    return new_link_key(number, made_at, datetime.now(UTC))


class LinkRotation:
    """Belongs to one event loop."""

    def __init__(
        self,
        router: Spreader,
        seconds: float,
        make: Callable[[int, float], LinkKey] = mint,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`seconds` is how long a key is the newest, 0 for ever; `make` gives the key of a number, made at a time."""
        self._router = router
        self._seconds = seconds
        self._make = make
        self._clock = clock
        self._sleep = sleep
        self.keys = LinkKeys()
        """Those there are."""

    async def begin(self) -> None:
        """Make the first key and tell the Router.

        Raises:
            ActorGone: it cannot be told.
        """
        await self.look()

    async def follow(self) -> None:
        """Make the next ones for as long as the gateway runs, and tell a Router that does not know."""
        while True:
            await self._sleep(LOOK_SECONDS)
            try:
                await self.look()
            except ActorGone:
                continue  # it restarts by itself
            except Exception:  # without new keys the gateway goes on, and must
                log.exception("link_key_not_made")

    async def look(self) -> None:
        """Make a key if one is due, and tell the Router if it does not know.

        Raises:
            ActorGone: it cannot be told.
        """
        if self.keys.is_due(self._clock(), self._seconds):
            number = self.keys.number + 1
            self.keys = self.keys.with_next(await asyncio.to_thread(self._make, number, self._clock()))
            if number > 1:
                log.info("link_key_made", number=number)
        if not await self._router.knows_link_key(self.keys.number):
            await self._router.tell_link_keys(self.keys)
