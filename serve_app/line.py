"""One link of an ingress replica to one life of a replica of a backend, as it is kept open."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from actors.bus.dialer import CallerLink
from actors.core.backoff import Backoff
from actors.core.last_word import LastWord
from actors.core.membership import ReplicaKey

BACKOFF: Final = Backoff(first=0.05, factor=2.0, cap=5.0)
"""Between two attempts to open a link."""

Dial = Callable[[str, str, Callable[[str], None]], Awaitable[CallerLink]]
"""Opens a link to an address of a backend, within a time limit, and calls back when it is lost.

Raises OSError, or ValueError if it is no address."""


class Line:
    """One link, and the tasks that keep it open and new."""

    def __init__(self, key: ReplicaKey, address: str, epoch: str) -> None:
        self.key = key
        self.name = str(key)
        self.address = address
        self.epoch = epoch
        self.weight = 1.0
        self.sequence = 0
        """Which status of it the View has."""
        self.leaving = False
        """It may be up in an older View, but takes no new calls."""
        self.link: CallerLink | None = None
        self.was_open = False
        """Whether there was a link since the life was last over, if it ever was."""
        self._link_left = False
        self.over = False
        self.lost = asyncio.Event()
        self.life: asyncio.Task[None] | None = None
        self.renewal: asyncio.Task[None] | None = None
        self.last_word = LastWord()

    @property
    def has_left(self) -> bool:
        """Whether it has said that it takes no new calls, whatever the View says of it."""
        return self._link_left or (self.link is not None and self.link.leaving)

    async def dial(self, dial: Dial) -> CallerLink:
        """A new link, which is not in use yet. Once it is in `link`, its loss is known.

        Raises:
            OSError: it is not to be had; `ValueError` if the address is none.
        """
        link: CallerLink | None = None

        def lost(_reason: str) -> None:
            if link is not None and self.link is link:  # it may have been replaced, or not be in use yet
                self._mark_lost()

        link = await dial(self.address, self.key.backend, lost)
        return link

    def close(self) -> None:
        """Close the link, and keep it open no more."""
        for task in (self.life, self.renewal):
            if task is not None:
                task.cancel()
        if self.link is not None:
            self.link.close()
            self.link = None

    def _mark_lost(self) -> None:
        self._link_left = self.has_left
        self.link = None
        self.lost.set()
