"""What the command does beside the gateway while that serves: lets its user administrate it, and follows its file."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

import msgspec

from serve_app.admin.pass_file import Pass, PassError, remove_pass, write_pass
from serve_app.cli.progress import Progress
from serve_app.cli.reloading import Reloading
from serve_app.reload import Reloaded


class Attendance:
    """The pass of the user, which also tells what came of reloads. Belongs to one event loop."""

    def __init__(
        self,
        held: Pass,
        path: Path,
        progress: Progress,
        lives: Iterable[Callable[[], Coroutine[None, None, None]]] = (),
    ) -> None:
        """`lives` are what else runs as long as the gateway does."""
        self._lives = tuple(lives)
        self._held = held
        self._path = path
        self._progress = progress

    async def on_reloaded(self, reloaded: Reloaded) -> None:
        """Let whoever asked for it find what came of it."""
        self._held = msgspec.structs.replace(
            self._held,
            reloads=self._held.reloads + 1,
            reloaded=(*reloaded.problems, reloaded.line),
            success=reloaded.changes is not None,
        )
        await asyncio.to_thread(self._write)

    @asynccontextmanager
    async def attend(self, reloading: Reloading) -> AsyncIterator[None]:
        """As long as this lasts the pass is there, and the file is followed."""
        await asyncio.to_thread(self._write)
        following = asyncio.gather(reloading.run(), *(life() for life in self._lives))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            remove_pass(self._path, self._held)

    def _write(self) -> None:
        try:
            write_pass(self._path, self._held)
        except PassError as error:
            self._progress.line(f"only1mcp add, remove and list cannot be used: {error}")


class Hangup:
    """What SIGHUP means: the file shall be read again, unless the terminal is gone that the command ran in."""

    def __init__(self, reload: Callable[[], None], stop: Callable[[], None], streams: Iterable[TextIO | None]) -> None:
        """`streams` are those that the command was given; the first that is a terminal is meant."""
        self._reload = reload
        self._stop = stop
        terminals = (stream.fileno() for stream in streams if stream is not None and stream.isatty())
        self._terminal = next(terminals, None)

    def __call__(self) -> None:
        """Act on one signal."""
        if self._terminal is not None and not os.isatty(self._terminal):
            self._stop()
        else:
            self._reload()
