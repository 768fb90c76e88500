"""What the command does beside the gateway: its pass, its file, and the signal that means a reload."""

import asyncio
import dataclasses
import io
import os
import pty
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from rich.console import Console

from actors.core.roster import Changes
from serve_app.admin.pass_file import Pass, pass_path, read_pass
from serve_app.cli.attendance import Attendance, Hangup
from serve_app.cli.progress import Progress
from serve_app.cli.reloading import MEANT_SECONDS, Reloading
from serve_app.reload import Reloaded
from tests.support.bus import until
from tests.support.hand_clock import HandClock

HELD = Pass("http://127.0.0.1:8080", "token", 7)
WELL = Reloaded(Changes(added=("a",)))
NOTHING = Reloaded(Changes(unchanged=("a",)))
REFUSED = Reloaded(None, problems=("file: mcpServers.a: needs a command or a url",))


class ScriptedReload:
    """Gives what it is told to; can fail."""

    def __init__(self) -> None:
        self.result = WELL
        self.failure: Exception | None = None
        self.count = 0

    async def now(self) -> Reloaded:
        self.count += 1
        if self.failure is not None:
            raise self.failure
        return self.result


class Desk:
    """A reloading and an attendance, and what they print."""

    def __init__(self, folder: Path, *, with_file: bool = True) -> None:
        self._out, self.errors = io.StringIO(), io.StringIO()
        progress = Progress(Console(file=self._out, width=200), HandClock())
        self.path = pass_path(8080, folder / "admin")
        self.attendance = Attendance(HELD, self.path, progress)
        self.reload = ScriptedReload()
        self.changed: asyncio.Queue[bytes] = asyncio.Queue()
        reload = self.reload if with_file else None
        self.clock = HandClock()
        self.reloading = Reloading(
            reload, self._changes, progress, self.errors, self.attendance.on_reloaded, self.clock
        )

    @property
    def out(self) -> str:
        return self._out.getvalue()

    async def reloaded(self, count: int) -> Pass:
        """The pass, once it tells of so many reloads."""

        def tells() -> bool:
            held = read_pass(self.path)
            return held is not None and held.reloads >= count

        await until(tells)
        held = read_pass(self.path)
        assert held is not None
        return held

    async def _changes(self) -> AsyncGenerator[bytes, None]:
        while True:
            yield await self.changed.get()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_the_pass_is_there_as_long_as_the_gateway_serves(desk: Desk) -> None:
    async with desk.attendance.attend(desk.reloading):
        during = read_pass(desk.path)

    assert during == HELD
    assert read_pass(desk.path) is None


async def test_a_changed_file_and_a_wish_are_each_a_reload_that_is_told(desk: Desk) -> None:
    async with desk.attendance.attend(desk.reloading):
        desk.changed.put_nowait(b"new")
        first = await desk.reloaded(1)
        desk.reload.result = REFUSED
        desk.reloading.ask()
        second = await desk.reloaded(2)

    assert (first.success, first.reloaded) == (True, ("reloaded: 1 added, 0 changed, 0 removed, 0 untouched",))
    assert (second.success, second.token) == (False, "token")
    assert second.reloaded == (*REFUSED.problems, "not reloaded: nothing has changed")
    assert "reloaded: 1 added" in desk.out
    assert desk.errors.getvalue() == f"{REFUSED.problems[0]}\n"
    assert read_pass(desk.path) is None


async def test_a_change_that_was_read_because_somebody_asked_is_not_read_again_when_it_is_noticed(desk: Desk) -> None:
    async with desk.attendance.attend(desk.reloading):
        desk.reload.result = dataclasses.replace(WELL, content=b"new")
        desk.reloading.ask()
        await desk.reloaded(1)
        desk.changed.put_nowait(b"new")
        await until(desk.changed.empty)
        desk.reload.result = dataclasses.replace(REFUSED, content=b"newer")
        desk.changed.put_nowait(b"newer")
        held = await desk.reloaded(2)

    assert desk.reload.count == held.reloads == 2
    assert held.reloaded[-1] == "not reloaded: nothing has changed"


async def test_who_asks_soon_after_a_change_learns_what_came_of_it_and_who_asks_later_that_there_is_nothing(
    desk: Desk,
) -> None:
    lines = []
    async with desk.attendance.attend(desk.reloading):
        desk.changed.put_nowait(b"new")
        await desk.reloaded(1)
        desk.reload.result = NOTHING
        for count in (2, 3):
            desk.reloading.ask()
            lines.append((await desk.reloaded(count)).reloaded[-1])

    assert lines == [WELL.line, NOTHING.line]
    assert [desk.out.count(line) for line in lines] == [1, 1]


async def test_a_change_that_was_noticed_long_ago_is_not_meant_by_who_asks(desk: Desk) -> None:
    async with desk.attendance.attend(desk.reloading):
        desk.changed.put_nowait(b"new")
        await desk.reloaded(1)
        desk.reload.result = NOTHING
        desk.clock.advance(MEANT_SECONDS)
        desk.reloading.ask()
        held = await desk.reloaded(2)

    assert held.reloaded == (NOTHING.line,)


async def test_a_wish_before_the_gateway_serves_is_done_when_it_does(desk: Desk) -> None:
    desk.reloading.ask()
    assert desk.reload.count == 0

    async with desk.attendance.attend(desk.reloading):
        await desk.reloaded(1)


async def test_a_reload_that_fails_in_a_way_nobody_thought_of_does_not_end_the_following(desk: Desk) -> None:
    async with desk.attendance.attend(desk.reloading):
        desk.reload.failure = RuntimeError("a surprise")
        desk.reloading.ask()
        await until(lambda: desk.reload.count == 1)

        desk.reload.failure = None
        desk.changed.put_nowait(b"new")
        held = await desk.reloaded(1)

    assert held.success


async def test_without_a_file_there_is_nothing_to_read_again_and_that_is_said(tmp_path: Path) -> None:
    desk = Desk(tmp_path, with_file=False)

    async with desk.attendance.attend(desk.reloading):
        desk.reloading.ask()
        held = await desk.reloaded(1)

    assert not held.success
    assert "no configuration file" in held.reloaded[0]


async def test_a_gateway_serves_even_if_its_pass_cannot_be_written(desk: Desk) -> None:
    desk.path.parent.mkdir(mode=0o755)

    async with desk.attendance.attend(desk.reloading):
        desk.reloading.ask()
        await until(lambda: "reloaded" in desk.out)

    assert "only1mcp add, remove and list cannot be used" in desk.out
    assert list(desk.path.parent.iterdir()) == []


def test_a_hangup_is_a_reload_as_long_as_the_terminal_is_there_and_the_end_when_it_is_gone() -> None:
    ours, theirs = pty.openpty()
    done: list[str] = []
    with os.fdopen(theirs) as stream:
        hangup = Hangup(lambda: done.append("reload"), lambda: done.append("stop"), (None, io.StringIO(), stream))

        hangup()
        os.close(ours)
        hangup()

    assert done == ["reload", "stop"]


def test_a_hangup_without_a_terminal_is_a_reload() -> None:
    done: list[str] = []
    hangup = Hangup(lambda: done.append("reload"), lambda: done.append("stop"), (io.StringIO(),))

    hangup()

    assert done == ["reload"]
