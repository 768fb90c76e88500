"""The configuration file while the gateway runs: read again when it changes and when somebody asks."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, Protocol, TextIO

import structlog

from serve_app.cli.progress import Progress
from serve_app.reload import Reloaded

MEANT_SECONDS: Final = 10.0
"""Who asks so soon after a change was noticed means that change, and learns what came of it."""

log = structlog.get_logger()


class Reloads(Protocol):
    """Who reads and applies it; `serve_app.reload.Reload` is one."""

    async def now(self) -> Reloaded:
        """See `Reload.now`."""


class Reloading:
    """Made before there is a gateway, because somebody may ask at any time. Belongs to one event loop."""

    def __init__(
        self,
        reload: Reloads | None,
        changes: Callable[[], AsyncGenerator[bytes, None]] | None,
        progress: Progress,
        errors: TextIO,
        on_reloaded: Callable[[Reloaded], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without `reload` there is no file; `changes` gives its `fingerprint` whenever it changed, if it is watched.

        `on_reloaded` hears what came of it, each time. `clock` is in seconds.
        """
        self._reload = reload
        self._changes = changes
        self._progress = progress
        self._errors = errors
        self._on_reloaded = on_reloaded
        self._clock = clock
        self._asked = False
        self._noticed = self._read = b""
        """Which content the watch saw last, and which was read last."""
        self._unasked: tuple[Reloaded, float] | None = None
        """The change that came of the last reading, if nobody asked for it, and until when who asks means that."""
        self._wanted = asyncio.Event()

    def ask(self) -> None:
        """Have the file read again, at once or as soon as the gateway serves."""
        self._asked = True
        self._wanted.set()

    async def run(self) -> None:
        """Do it whenever it is asked for, and for every change that was not read already, until cancelled."""
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                if not self._asked and self._noticed == self._read:
                    continue
                asked, self._asked = self._asked, False
                try:
                    await self._once(asked=asked)
                except Exception:  # what else is wrong with a file must not end the following of it
                    log.exception("reload_failed")
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self) -> None:
        if self._changes is None:
            return
        async with aclosing(self._changes()) as changes:
            async for content in changes:
                self._noticed = content
                self._wanted.set()

    async def _once(self, *, asked: bool) -> None:
        if self._reload is None:
            reloaded = Reloaded(None, problems=("there is no configuration file: the demonstration server is served",))
        else:
            reloaded = await self._reload.now()
        self._read, now = reloaded.content, self._clock()
        meant, self._unasked = self._unasked, None
        if reloaded.is_change and not asked:
            self._unasked = reloaded, now + MEANT_SECONDS
        if asked and reloaded.changes and not reloaded.is_change and meant and now < meant[1]:
            await self._on_reloaded(meant[0])  # its line has been written
            return
        self._errors.writelines(f"{problem}\n" for problem in reloaded.problems)
        self._errors.flush()
        self._progress.line(reloaded.line)
        await self._on_reloaded(reloaded)
