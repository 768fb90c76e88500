"""Notifications and answers on their way to a server over HTTP. Nobody waits for them, but for the one that ends the
handshake."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

MAX_SENDS: Final = 100
"""Notifications and answers under way at once; more means that the server does not take them."""

GREETING_SECONDS: Final = 5.0
"""How long requests wait for the end of the handshake to arrive; a server that takes it so slowly has to cope."""

log = structlog.get_logger()


class HttpNotices:
    """Of one conversation; several may overtake each other."""

    def __init__(self, name: str) -> None:
        """`name` is of the backend, for the log."""
        self.greeting: asyncio.Task[None] | None = None
        """The end of the handshake, as long as it is under way; requests that begin meanwhile wait for `greeted`."""
        self._name = name
        self._under_way = 0
        self._greets = False

    def greet_next(self) -> None:
        """The next one ends the handshake, and requests that begin after it shall arrive after it."""
        self._greets = True

    def begin(self, post: Callable[[], asyncio.Task[None]]) -> None:
        """Post one more, unless there are too many."""
        if self._under_way >= MAX_SENDS:
            self.refuse()
            return
        self._under_way += 1
        task = post()
        task.add_done_callback(self._ended)
        if self._greets:
            self._greets = False
            self.greeting = task

    def refuse(self) -> None:
        """Say in the log that one is not sent."""
        log.warning("send_dropped", backend=self._name)

    async def greeted(self) -> None:
        """Wait until the end of the handshake has arrived, for a while."""
        if self.greeting is not None:
            await asyncio.wait([self.greeting], timeout=GREETING_SECONDS)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way -= 1
        if task is self.greeting:
            self.greeting = None
