"""The configuration file while the gateway runs: read again when it changes and when somebody asks."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol, TextIO

import structlog

from serve_app.cli.progress import Progress
from serve_app.reload import Reloaded

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
        changes: Callable[[], AsyncGenerator[None, None]] | None,
        progress: Progress,
        errors: TextIO,
        on_reloaded: Callable[[Reloaded], Awaitable[None]],
    ) -> None:
        """Without `reload` there is no file; `changes` gives whenever it changed, if it is watched.

        `on_reloaded` hears what came of it, each time.
        """
        self._reload = reload
        self._changes = changes
        self._progress = progress
        self._errors = errors
        self._on_reloaded = on_reloaded
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have the file read again, at once or as soon as the gateway serves."""
        self._asked.set()

    async def run(self) -> None:
        """Do it whenever it is asked for, until cancelled."""
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                try:
                    await self._once()
                except Exception:  # what else is wrong with a file must not end the following of it
                    log.exception("reload_failed")
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self) -> None:
        if self._changes is None:
            return
        async with aclosing(self._changes()) as changes:
            async for _ in changes:
                self.ask()

    async def _once(self) -> None:
        if self._reload is None:
            reloaded = Reloaded(None, problems=("there is no configuration file: the demonstration server is served",))
        else:
            reloaded = await self._reload.now()
        self._errors.writelines(f"{problem}\n" for problem in reloaded.problems)
        self._errors.flush()
        self._progress.line(reloaded.line)
        await self._on_reloaded(reloaded)
