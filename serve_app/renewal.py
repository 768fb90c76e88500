"""Links that were opened with an older key than the newest are replaced, so that no key is of use for longer than it
shall be. No call notices: the new link is there before the old one goes, and the old one goes when nobody reads an
exchange over it any more. (An exchange that is read for days is attached to anew when the listener closes the old link,
whose key is accepted no longer.)
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from actors.bus.dialer import CallerLink
from serve_app.line import BACKOFF, Dial, Line

RENEW_SECONDS: Final = 5.0
"""Within this time, each at a moment of its own, links are dialled anew after a new key: not all at once."""

QUIET_SECONDS: Final = 1.0
"""How long a link that was replaced stays at least, for those who have chosen it already; and between two looks whether
anybody reads over it."""

log = structlog.get_logger()


class Renewal:
    """Belongs to one event loop, and to the links of one ingress replica."""

    def __init__(self, dial: Dial, dice: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        """`dice` gives numbers from 0 up to but not including 1."""
        self._dial = dial
        self._dice = dice
        self._sleep = sleep
        self._newest = 0
        self._leaving: set[asyncio.Task[None]] = set()
        """Those that see links to their end."""

    def look(self, lines: Iterable[Line], newest: int) -> None:
        """Begin to replace the links that were opened with another key than the newest, by its number."""
        self._newest = newest
        for line in lines:
            if self._is_outdated(line) and (line.renewal is None or line.renewal.done()):
                line.renewal = asyncio.get_running_loop().create_task(self._renew(line))

    def close(self) -> None:
        """Close the links that were replaced."""
        for task in self._leaving:
            task.cancel()

    def _is_outdated(self, line: Line) -> bool:
        # one that leaves is not asked for another link: nobody would use it
        return line.link is not None and line.link.key_number < self._newest and not line.has_left

    async def _renew(self, line: Line) -> None:
        """Put another link in the place of the one there; what fails is tried again."""
        attempt = 0
        await self._sleep(RENEW_SECONDS * self._dice())
        while self._is_outdated(line):
            fresh = await self._try(line)
            former = line.link
            if fresh is None:
                await self._sleep(BACKOFF.delay(attempt, self._dice()))
                attempt += 1
            elif former is None or former.leaving or fresh.closed:
                fresh.close()
            else:
                fresh.load = former.load
                line.link = fresh
                log.debug("link_renewed", backend=line.key.backend, replica=line.key.index)
                self._see_off(former)

    async def _try(self, line: Line) -> CallerLink | None:
        try:
            fresh = await line.dial(self._dial)
        except (OSError, ValueError) as error:
            log.debug("link_not_renewed", backend=line.key.backend, reason=str(error))
            return None
        if fresh.key_number >= self._newest:
            return fresh
        fresh.close()  # the replica has not fetched the newest key yet
        return None

    def _see_off(self, former: CallerLink) -> None:
        task = asyncio.get_running_loop().create_task(self._close_when_quiet(former))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _close_when_quiet(self, former: CallerLink) -> None:
        try:
            await self._sleep(QUIET_SECONDS)
            while former.in_flight and not former.closed:
                await self._sleep(QUIET_SECONDS)
        finally:
            former.close()
