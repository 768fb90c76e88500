"""The course of a run, with a gateway that does what a test says."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from rich.console import Console

from actors.core.membership import Status
from actors.core.settings import ServerSettings
from serve_app.cli.course import Course, StartFailed
from serve_app.cli.progress import Progress
from tests.support.bus import WAIT_SECONDS, until
from tests.support.hand_clock import HandClock
from tests.support.house import Replica


class ScriptedGateway:
    """Starts, is lost and stops when it is told to."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.started, self.lost, self.stopped = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.log: list[str] = []

    async def start(self) -> Sequence[Status]:
        self.log.append("start")
        try:
            await self.started.wait()
        except asyncio.CancelledError:
            self.log.append("start given up")
            raise
        if self.failure is not None:
            raise self.failure
        return [Replica().status(), Replica("down", up=False).status()]

    async def until_lost(self) -> None:
        await self.lost.wait()

    async def stop(self) -> None:
        self.log.append("stop")
        try:
            await self.stopped.wait()
        except asyncio.CancelledError:
            self.log.append("stop given up")
            raise
        self.log.append("stopped")


class Run:
    """A course under way, and what it prints."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.gateway = ScriptedGateway()
        self._out, self._errors = io.StringIO(), io.StringIO()
        progress = Progress(Console(file=self._out, width=200), HandClock())
        self.course = Course(self.gateway, ServerSettings(host=host), progress, self._errors, self._meanwhile)
        self._task = asyncio.create_task(self.course.run())

    @property
    def out(self) -> str:
        return self._out.getvalue()

    @property
    def errors(self) -> str:
        return self._errors.getvalue()

    @asynccontextmanager
    async def _meanwhile(self) -> AsyncIterator[None]:
        self.gateway.log.append("meanwhile begins")
        yield
        self.gateway.log.append("meanwhile ends")

    async def printed(self, text: str) -> None:
        await until(lambda: text in self.out)

    async def code(self) -> int:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self._task


async def test_a_run_starts_says_so_and_stops_when_asked() -> None:
    run = Run()
    run.gateway.started.set()
    await run.printed("ready http://127.0.0.1:8080/mcp")

    run.course.ask_to_stop()
    await run.printed("stopping")
    run.gateway.stopped.set()

    assert await run.code() == 0
    assert run.gateway.log == ["start", "meanwhile begins", "meanwhile ends", "stop", "stopped"]
    assert run.out.rstrip().endswith("stopped")
    assert "its command is not there" in run.out
    assert run.errors == ""


async def test_an_ipv6_address_is_written_as_urls_want_it() -> None:
    run = Run(host="::1")
    run.gateway.started.set()

    await run.printed("ready http://[::1]:8080/mcp")

    run.course.ask_to_stop()
    run.gateway.stopped.set()
    assert await run.code() == 0


async def test_asked_while_it_starts_it_gives_up_starting_and_stops_what_there_is() -> None:
    run = Run()
    await until(lambda: run.gateway.log == ["start"])

    run.course.ask_to_stop()
    run.gateway.stopped.set()

    assert await run.code() == 0
    assert run.gateway.log == ["start", "start given up", "stop", "stopped"]
    assert "ready" not in run.out


async def test_asked_twice_it_waits_for_nothing_more() -> None:
    run = Run()
    run.gateway.started.set()
    await run.printed("ready")

    run.course.ask_to_stop()
    await run.printed("stopping")
    run.course.ask_to_stop()

    assert await run.code() == 0
    assert run.gateway.log == ["start", "meanwhile begins", "meanwhile ends", "stop", "stop given up"]
    assert "stopped without waiting" in run.out


@pytest.mark.parametrize("nested", [0, 1, 2])
async def test_a_start_that_fails_is_one_sentence_and_exit_code_1(nested: int) -> None:
    failure: Exception = StartFailed("the ingress does not answer")
    for _ in range(nested):
        failure = ExceptionGroup("tasks", [failure])
    run = Run()
    run.gateway.failure = failure
    run.gateway.started.set()
    run.gateway.stopped.set()

    assert await run.code() == 1
    assert run.errors == "only1mcp: the ingress does not answer\n"
    assert run.gateway.log == ["start", "stop", "stopped"]


async def test_a_lost_ray_is_one_sentence_and_exit_code_1_and_nothing_is_waited_for() -> None:
    run = Run()
    run.gateway.started.set()
    await run.printed("ready")

    run.gateway.lost.set()

    assert await run.code() == 1
    assert len(run.errors.splitlines()) == 1
    assert "Ray" in run.errors
    assert run.gateway.log == ["start", "meanwhile begins", "meanwhile ends"]


async def test_what_goes_on_meanwhile_does_so_from_ready_to_the_wish_to_stop_however_it_ends() -> None:
    for end in ("asked", "lost"):
        run = Run()
        log = run.gateway.log
        assert log == []
        run.gateway.started.set()
        await run.printed("ready")
        assert log == ["start", "meanwhile begins"]

        if end == "asked":
            run.course.ask_to_stop()
        else:
            run.gateway.lost.set()
        run.gateway.stopped.set()
        await run.code()

        assert log[2] == "meanwhile ends"


async def test_a_gateway_that_cannot_start_has_no_meanwhile() -> None:
    run = Run()
    run.gateway.failure = StartFailed("no")
    run.gateway.started.set()
    run.gateway.stopped.set()

    await run.code()

    assert run.gateway.log == ["start", "stop", "stopped"]
