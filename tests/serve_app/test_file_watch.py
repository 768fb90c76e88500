"""Real files, changed in every way that people and programs change them."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from serve_app.file_watch import FileWatch, fingerprint, folders_of
from tests.support.bus import WAIT_SECONDS, until

NEVER_MS = 600_000
"""Looks that come of themselves would hide what goes unnoticed."""

OLD, NEW, NEWER = '{"old": 1}', '{"new": 1}', '{"newer": 1}'


class Watching:
    """Counts the changes of a file until the test ends."""

    def __init__(self, path: Path, look_ms: int) -> None:
        self.seen: list[str] = []
        self._path = path
        self._watch = FileWatch(path, fingerprint(path), look_ms=look_ms)
        self._task = asyncio.create_task(self._run())

    async def saw(self, *contents: str) -> None:
        await until(lambda: self._task.done() or len(self.seen) >= len(contents))
        assert self.seen == list(contents)

    async def close(self) -> None:
        self._task.cancel()
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        async with aclosing(self._watch.changes()) as changes:
            async for _ in changes:
                self.seen.append(self._path.read_text())


@pytest.fixture
async def watch() -> AsyncIterator[Callable[..., Watching]]:
    watching: list[Watching] = []

    def start(path: Path, look_ms: int = NEVER_MS) -> Watching:
        watching.append(Watching(path, look_ms))
        return watching[-1]

    yield start
    await asyncio.gather(*(each.close() for each in watching))


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def renamed(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.swp")
    fresh.write_text(text)
    fresh.replace(path)


def moved_away_and_written_anew(path: Path, text: str) -> None:
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text)


def deleted_and_written_anew(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


@pytest.mark.parametrize("change", [in_place, renamed, moved_away_and_written_anew, deleted_and_written_anew])
async def test_every_way_of_writing_a_file_is_noticed_twice_in_a_row(
    tmp_path: Path, watch: Callable[..., Watching], change: Callable[[Path, str], None]
) -> None:
    path = tmp_path / "only1mcp.json"
    path.write_text(OLD)
    watching = watch(path)

    change(path, NEW)
    await watching.saw(NEW)
    change(path, NEWER)

    await watching.saw(NEW, NEWER)


async def test_a_config_map_that_swaps_its_link_is_noticed_twice_in_a_row(
    tmp_path: Path, watch: Callable[..., Watching]
) -> None:
    def publish(number: int, text: str) -> None:
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}/only1mcp.json").write_text(text)
        (tmp_path / "..data_tmp").symlink_to(f"..{number}")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

    publish(1, OLD)
    path = tmp_path / "only1mcp.json"
    path.symlink_to("..data/only1mcp.json")
    watching = watch(path)

    publish(2, NEW)
    await watching.saw(NEW)
    (tmp_path / "..1/only1mcp.json").unlink()
    (tmp_path / "..1").rmdir()
    publish(3, NEWER)

    await watching.saw(NEW, NEWER)


async def test_a_link_to_another_folder_is_followed(tmp_path: Path, watch: Callable[..., Watching]) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    far = tmp_path / "far/real.json"
    far.write_text(OLD)
    path = tmp_path / "near/only1mcp.json"
    path.symlink_to(far)
    watching = watch(path)

    renamed(far, NEW)

    await watching.saw(NEW)


async def test_a_link_on_the_way_to_the_file_is_noticed_when_it_leads_elsewhere(
    tmp_path: Path, watch: Callable[..., Watching]
) -> None:
    for name, text in (("far", OLD), ("farther", NEW), ("farthest", NEWER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "real.json").write_text(text)
    (tmp_path / "middle").mkdir()
    (tmp_path / "near").mkdir()
    middle, path = tmp_path / "middle/link.json", tmp_path / "near/only1mcp.json"
    middle.symlink_to("../far/real.json")
    path.symlink_to(middle)
    watching = watch(path)

    for name, seen in (("farther", [NEW]), ("farthest", [NEW, NEWER])):
        (tmp_path / "middle/fresh").symlink_to(f"../{name}/real.json")
        (tmp_path / "middle/fresh").replace(middle)
        await watching.saw(*seen)


async def test_what_leaves_the_content_as_it_was_is_no_change(tmp_path: Path, watch: Callable[..., Watching]) -> None:
    path = tmp_path / "only1mcp.json"
    path.write_text(OLD)
    watching = watch(path)

    os.utime(path)
    renamed(path, OLD)
    (tmp_path / "another.json").write_text(NEW)
    path.write_text(NEW)

    await watching.saw(NEW)


async def test_a_change_before_the_watching_began_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "only1mcp.json"
    path.write_text(OLD)
    watch = FileWatch(path, fingerprint(path))
    path.write_text(NEW)

    async with aclosing(watch.changes()) as changes, asyncio.timeout(WAIT_SECONDS):
        await anext(changes)

    assert path.read_text() == NEW


async def test_a_file_whose_folder_was_away_for_a_while_is_noticed_when_it_is_back(
    tmp_path: Path, watch: Callable[..., Watching]
) -> None:
    folder = tmp_path / "mount"
    folder.mkdir()
    path = folder / "only1mcp.json"
    path.write_text(OLD)
    watching = watch(path, 300)
    path.write_text(NEW)
    await watching.saw(NEW)

    path.unlink()
    folder.rmdir()
    folder.mkdir()
    path.write_text(NEWER)
    await watching.saw(NEW, NEWER)
    path.write_text(OLD)

    await watching.saw(NEW, NEWER, OLD)


def test_a_circle_of_links_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    assert folders_of(tmp_path / "a") == {tmp_path.resolve(): tmp_path.stat().st_ino}
    assert fingerprint(tmp_path / "a") == b""
