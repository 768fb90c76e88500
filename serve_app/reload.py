"""Reads the configuration file again while the gateway runs, and has the difference applied: all of it, or nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from actors.core.roster import Changes
from actors.core.settings import BackendSettings, Settings
from actors.core.terms import Terms
from actors.refs.gone import ActorGone
from serve_app.config import ConfigError, load
from serve_app.file_watch import fingerprint

ATTEMPTS: Final = 10
PAUSE_SECONDS: Final = 1.0
"""Between two attempts to reach a Router that restarts; together they outlast a restart."""

log = structlog.get_logger()


class Configurable(Protocol):
    """Who applies the difference; `actors.refs.router.RouterRef` is one."""

    async def configure(self, backends: Sequence[BackendSettings], terms: Terms | None = None) -> Changes:
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
    terms: tuple[str, ...] = ()
    """Sections that were changed beside the servers."""
    content: bytes = b""
    """The `fingerprint` of what was read; empty if nothing was."""

    @property
    def is_change(self) -> bool:
        """Whether there is another set of servers now."""
        changes = self.changes
        return changes is not None and bool(changes.added or changes.changed or changes.removed)

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
        terms = "".join(f"; {section} changed" for section in self.terms)
        later = "".join(f"; {section} takes effect at the next start" for section in self.later)
        return f"reloaded: {', '.join(counts)}{terms}{later}"


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
        self._terms = Terms.of(started)
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
        content = await asyncio.to_thread(fingerprint, self._path)  # first: what is written meanwhile is then a change
        try:
            settings = (await asyncio.to_thread(load, self._path, self._environ)).settings
        except ConfigError as error:
            return Reloaded(None, problems=tuple(str(error).splitlines()), content=content)
        later = [
            name for name in ("server", "auth", "audit") if getattr(settings, name) != getattr(self._started, name)
        ]
        terms = Terms.of(settings)
        changed = [name for name in Terms.__struct_fields__ if getattr(terms, name) != getattr(self._terms, name)]
        for _ in range(ATTEMPTS):
            try:
                changes = await self._find_router().configure(settings.backends, terms)
            except ActorGone:
                await self._sleep(PAUSE_SECONDS)
            else:
                self._terms = terms
                return Reloaded(changes, tuple(later), terms=tuple(changed), content=content)
        return Reloaded(None, problems=("the Router cannot be reached",))
