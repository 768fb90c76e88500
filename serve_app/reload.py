"""Reads the configuration file again while the gateway runs, and has the difference applied: all of it, or nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from actors.core.roster import Changes
from actors.core.settings import BackendSettings, Settings
from actors.refs import ActorGone
from serve_app.config import ConfigError, load

ATTEMPTS: Final = 10
PAUSE_SECONDS: Final = 1.0
"""Between two attempts to reach a Router that restarts; together they outlast a restart."""

log = structlog.get_logger()


class Configurable(Protocol):
    """Who applies the difference; `actors.refs.RouterRef` is one."""

    async def configure(self, backends: Sequence[BackendSettings]) -> Changes:
        """See `RouterRef.configure`."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of it."""

    changes: Changes | None
    """Nothing, if nothing was changed because something is wrong."""
    later: tuple[str, ...] = ()
    """Sections of the file that differ from what the gateway was started with."""
    problems: tuple[str, ...] = ()
    """Why nothing was changed, a line each."""

    @property
    def line(self) -> str:
        """All of it but the problems, for a person."""
        if self.changes is None:
            return "not reloaded: nothing has changed"
        counts = (
            f"{len(self.changes.added)} added",
            f"{len(self.changes.changed)} changed",
            f"{len(self.changes.removed)} removed",
            f"{len(self.changes.unchanged)} untouched",
        )
        later = "".join(f"; {section} takes effect at the next start" for section in self.later)
        return f"reloaded: {', '.join(counts)}{later}"


class Reload:
    """Belongs to one event loop."""

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str],
        started: Settings,
        find_router: Callable[[], Configurable],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`started` is what was in the file when the gateway was started with it."""
        self._path = path
        self._environ = environ
        self._started = started
        self._find_router = find_router
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Reloaded] | None = None

    async def now(self) -> Reloaded:
        """Read the file as it is now, and apply it. Whoever asks before it is read shares one reading."""
        if self._next is None:
            self._next = asyncio.create_task(self._in_turn())
        return await asyncio.shield(self._next)  # who gives up waiting must not take the answer from the others

    async def _in_turn(self) -> Reloaded:
        async with self._turn:
            self._next = None
            reloaded = await self._apply()
        if reloaded.changes is None:
            log.warning("reload_refused", problems=len(reloaded.problems))
        else:
            log.info("reloaded", **{name: len(getattr(reloaded.changes, name)) for name in Changes.__struct_fields__})
        return reloaded

    async def _apply(self) -> Reloaded:
        try:
            settings = (await asyncio.to_thread(load, self._path, self._environ)).settings
        except ConfigError as error:
            return Reloaded(None, problems=tuple(str(error).splitlines()))
        differing = [name for name in ("server", "auth") if getattr(settings, name) != getattr(self._started, name)]
        for _ in range(ATTEMPTS):
            try:
                changes = await self._find_router().configure(settings.backends)
            except ActorGone:
                await self._sleep(PAUSE_SECONDS)
            else:
                return Reloaded(changes, tuple(differing))
        return Reloaded(None, problems=("the Router cannot be reached",))
