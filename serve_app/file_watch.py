"""Notices that a file has other content, whichever way that got there.

Editors write a new file and rename it, a ConfigMap swaps a symbolic link two folders up, others write in place: so the
folders are watched of every link that leads to the file, and what decides is the content.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Final

import structlog
from watchfiles import awatch

SETTLE_MS: Final = 200
"""So long nothing may have happened before the file is read: who writes in place writes in pieces."""

BUSY_MS: Final = 2000
"""After this time it is read even in a folder where something happens all the time."""

LOOK_MS: Final = 5000
"""Between two looks at a file of which nobody tells: changes of a network's file system come unannounced."""

PAUSE_SECONDS: Final = 1.0
"""Before the next attempt to watch folders of which one is not there."""

MAX_LINKS: Final = 40
"""As many as Linux follows."""

MAX_BYTES: Final = 2 * 1024 * 1024
"""More than a configuration may have."""

log = structlog.get_logger()


class FileWatch:
    """Watches one file. `seen` is the `fingerprint` of what is known of it."""

    def __init__(
        self,
        path: Path,
        seen: bytes,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        look_ms: int = LOOK_MS,
    ) -> None:
        self._path = path.absolute()
        self._seen = seen
        self._sleep = sleep
        self._look_ms = look_ms

    async def changes(self) -> AsyncGenerator[bytes, None]:
        """Gives the `fingerprint` of every other content, once. A file that is gone has not changed: it may be on its
        way."""
        while True:
            if await self._differs():
                yield self._seen
            try:
                folders = folders_of(self._path)
                async with aclosing(self._looks(folders)) as looks:
                    async for _ in looks:
                        if await self._differs():
                            yield self._seen
                        if folders_of(self._path) != folders:
                            break
            except (OSError, RuntimeError) as error:  # the watcher's words for a folder that is gone, or one too many
                log.debug("not_watched", file=str(self._path), reason=str(error))
                await self._sleep(PAUSE_SECONDS)

    def _looks(self, folders: Iterable[Path]) -> AsyncGenerator[object, None]:
        """Gives whenever something has happened in one of the folders, and from time to time even so."""
        return awatch(
            *folders,
            watch_filter=lambda _change, _path: True,
            debounce=BUSY_MS,
            step=SETTLE_MS,
            rust_timeout=self._look_ms,
            yield_on_timeout=True,
            recursive=False,
        )

    async def _differs(self) -> bool:
        found = await asyncio.to_thread(fingerprint, self._path)
        if found in (b"", self._seen):
            return False
        self._seen = found
        return True


def fingerprint(path: Path) -> bytes:
    """A value that is another one for other content; empty for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.sha256(file.read(MAX_BYTES)).digest()
    except OSError:
        return b""


def folders_of(path: Path) -> dict[Path, int]:
    """The folders in which a change can put another file in the place of this one: of each link on the way to it.

    With the number of each in its file system, which is another one for a folder that was made anew.
    """
    folders: list[Path] = []
    remaining = [path]
    links = 0
    while remaining and links < MAX_LINKS:
        place = remaining.pop()
        for each in (place, *place.parents):
            if each == path or each.is_symlink():
                folders.append(each.parent)
            if each.is_symlink():
                links += 1
                remaining.append(each.parent / each.readlink() / place.relative_to(each))
                break
        else:
            folders.append(place.parent)
    return {folder.resolve(): folder.stat().st_ino for folder in sorted(folders) if folder.is_dir()}
