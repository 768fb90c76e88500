"""The course of one run: start, serve until somebody asks to stop or Ray is lost, stop."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Protocol, TextIO

from actors.core.membership import Status
from actors.core.settings import ServerSettings
from serve_app.cli.preparation import CANNOT_START
from serve_app.cli.progress import Progress


class StartFailed(Exception):  # noqa: N818 - what happened, for the one who types the command
    """The gateway cannot start; the message is a sentence for a person."""


class Startable(Protocol):
    """What is started and stopped; `serve_app.gateway.Gateway` is one."""

    async def start(self) -> Sequence[Status]:
        """Start everything; gives what each backend replica came to.

        Raises:
            StartFailed: there will be no gateway; it may come in an ExceptionGroup.
        """

    async def until_lost(self) -> None:
        """Return when what it runs on is gone."""

    async def stop(self) -> None:
        """Let running calls finish for a while, then end everything. Never raises."""


class Course:
    """One run. Made and used in one event loop."""

    def __init__(
        self,
        gateway: Startable,
        server: ServerSettings,
        progress: Progress,
        errors: TextIO,
        meanwhile: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        """`meanwhile` is entered as soon as the gateway serves, and left when it shall serve no more."""
        self._meanwhile = meanwhile
        self._gateway = gateway
        self._server = server
        self._progress = progress
        self._errors = errors
        self._asked = asyncio.Semaphore(0)

    def ask_to_stop(self) -> None:
        """Stop after running calls; the second time, at once."""
        self._asked.release()

    async def run(self) -> int:
        """Run to the end; gives the exit code: 0 if somebody asked for that end, else 1."""
        starting = asyncio.create_task(self._gateway.start())
        asked = asyncio.create_task(self._was_asked())
        await _first_of(starting, asked)
        code = 0
        try:
            if not starting.done():
                await _give_up(starting)
            elif await self._is_lost(starting.result(), asked):
                self._errors.write("only1mcp: the Ray that it ran on has died, and nothing is left to stop\n")
                return CANNOT_START
        except* StartFailed as group:
            self._errors.write(f"only1mcp: {_first(group)}\n")
            code = CANNOT_START
        finally:
            asked.cancel()
        await self._stop()
        return code

    async def _is_lost(self, statuses: Sequence[Status], asked: asyncio.Task[None]) -> bool:
        """Serve until one or the other happens."""
        async with self._meanwhile():
            self._progress.line(f"ready {self._server.origin}/mcp")
            self._progress.table(statuses)
            lost = asyncio.create_task(self._gateway.until_lost())
            await _first_of(lost, asked)
            lost.cancel()
        return not asked.done()

    async def _stop(self) -> None:
        stopping = asyncio.create_task(self._gateway.stop())
        hurried = asyncio.create_task(self._was_asked())
        with self._progress.step("stopping: running calls may finish"):
            await _first_of(stopping, hurried)
        self._progress.line("stopped" if stopping.done() else "stopped without waiting for running calls")
        await _give_up(stopping)
        hurried.cancel()

    async def _was_asked(self) -> None:
        await self._asked.acquire()


async def _first_of(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def _give_up(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _first(group: BaseExceptionGroup[StartFailed]) -> BaseException:
    """One failure is enough for a person; nested groups come from tasks within tasks."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
