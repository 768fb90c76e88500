"""What a reload applies, and what it refuses, with a Router that only keeps what it is told."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.core.roster import Changes, Roster
from actors.core.settings import BackendSettings
from actors.core.terms import Terms
from actors.refs.gone import ActorGone
from serve_app.config import load
from serve_app.file_watch import fingerprint
from serve_app.reload import ATTEMPTS, Reload
from tests.support.bus import until

A, B = {"url": "http://127.0.0.1:1/mcp"}, {"url": "http://127.0.0.1:2/mcp"}


class RosterRouter:
    """A roster of its own behind what a `RouterRef` has; can be away, and slow."""

    def __init__(self) -> None:
        self.away = 0
        """How many attempts still fail."""
        self.told: list[tuple[str, ...]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.roster = Roster()

    async def configure(self, backends: Sequence[BackendSettings], terms: Terms | None = None) -> Changes:
        if self.away:
            self.away -= 1
            raise ActorGone("RayActorError")
        self.told.append(tuple(backend.name for backend in backends))
        await self.free.wait()
        return self.roster.configure(backends, terms)


class Table:
    """A file, and a reload of it."""

    def __init__(self, folder: Path, **servers: Any) -> None:
        self.path = folder / "only1mcp.json"
        self.router = RosterRouter()
        self.pauses: list[float] = []
        self.write(**servers)
        started = load(self.path, {}).settings
        self.reload = Reload(self.path, {}, started, lambda: self.router, self._sleep)

    def write(self, sections: Any = None, **servers: Any) -> None:
        self.path.write_text(json.dumps({"mcpServers": servers, **(sections or {})}))

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def test_a_reload_says_how_many_are_new_other_gone_and_as_before(tmp_path: Path) -> None:
    table = Table(tmp_path, a=A, b=B, c=A)
    first = await table.reload.now()
    table.write(a=A, b=A, d=B)

    second = await table.reload.now()

    assert first.line == "reloaded: 3 added, 0 changed, 0 removed, 0 untouched"
    assert second.line == "reloaded: 1 added, 1 changed, 1 removed, 1 untouched"


async def test_a_reload_says_which_content_it_has_read(tmp_path: Path) -> None:
    table = Table(tmp_path, a=A)
    first = await table.reload.now()
    table.write(a={**A, "timeout": 0})
    second = await table.reload.now()

    assert first.content != second.content == fingerprint(table.path)


async def test_a_file_with_a_mistake_changes_nothing_and_its_problems_are_those_of_a_start(tmp_path: Path) -> None:
    table = Table(tmp_path, a=A)
    table.write(a={**A, "timeout": 0}, b={"comand": "x"})

    reloaded = await table.reload.now()

    assert table.router.told == []
    assert reloaded.line == "not reloaded: nothing has changed"
    assert reloaded.problems == (
        f"{table.path}: mcpServers.a.timeout: must be more than 0 and at most 86400 seconds",
        f"{table.path}: mcpServers.b.comand: is not a setting of a server; did you mean 'command'?",
        f"{table.path}: mcpServers.b: needs a command or a url",
    )


async def test_a_file_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    table = Table(tmp_path, a=A)
    table.path.unlink()

    reloaded = await table.reload.now()

    assert (reloaded.changes, table.router.told) == (None, [])


async def test_what_only_a_start_can_change_is_said(tmp_path: Path) -> None:
    table = Table(tmp_path, a=A)
    auth = {"api_keys": [{"name": "ci", "hash": "sha256:" + "0" * 64}]}
    table.write({"server": {"port": 9}, "auth": auth}, a=B)

    other = await table.reload.now()
    table.write(a=B)
    as_before = await table.reload.now()

    assert other.line.endswith("server takes effect at the next start; auth takes effect at the next start")
    assert as_before.line == "reloaded: 0 added, 0 changed, 0 removed, 1 untouched"


async def test_a_router_that_restarts_is_told_when_it_is_back(tmp_path: Path) -> None:
    table = Table(tmp_path, a=A)
    table.router.away = ATTEMPTS - 1

    reloaded = await table.reload.now()

    assert reloaded.changes is not None
    assert len(table.pauses) == ATTEMPTS - 1


async def test_a_router_that_stays_away_is_a_problem_of_the_reload(tmp_path: Path) -> None:
    table = Table(tmp_path, a=A)
    table.router.away = ATTEMPTS

    reloaded = await table.reload.now()

    assert (reloaded.changes, reloaded.problems) == (None, ("the Router cannot be reached",))


async def test_who_asks_while_the_file_is_applied_shares_one_later_reading_with_the_last_content(
    tmp_path: Path,
) -> None:
    table = Table(tmp_path, a=A)
    table.router.free.clear()
    first = asyncio.create_task(table.reload.now())
    await until(lambda: table.router.told == [("a",)])

    table.write(a=A, b=B)
    others = [asyncio.create_task(table.reload.now()) for _ in range(5)]
    await asyncio.sleep(0)
    table.write(a=A, b=B, c=B)
    table.router.free.set()
    await asyncio.gather(first, *others)

    assert table.router.told == [("a",), ("a", "b", "c")]


async def test_one_who_gives_up_waiting_does_not_take_the_answer_from_the_others(tmp_path: Path) -> None:
    table = Table(tmp_path, a=A)
    impatient, patient = (asyncio.create_task(table.reload.now()) for _ in range(2))
    await asyncio.sleep(0)

    impatient.cancel()

    assert (await patient).changes is not None
    assert len(table.router.told) == 1


async def test_the_policy_of_the_file_is_in_force_after_a_reload_and_the_line_says_so(tmp_path: Path) -> None:
    table = Table(tmp_path, a=A)
    await table.reload.now()
    table.write({"policy": {"assignments": [{"role": "viewer", "everyone": True}]}}, a=A)

    changed, again = await table.reload.now(), await table.reload.now()

    assert table.router.roster.terms.policy is not None
    assert changed.line.endswith("1 untouched; policy changed")
    assert again.line.endswith("1 untouched")
