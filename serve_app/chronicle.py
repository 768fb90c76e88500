"""What the command itself has written into the audit: that the gateway starts and stops, and what reloads come to."""

import asyncio
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

from actors.audit_folder import ensure_key
from actors.auditing import Auditing
from actors.core.audit.event import Event, Kind
from actors.core.audit.keys import derived
from actors.core.audit_settings import AuditSettings
from actors.core.identity import VERSION
from actors.core.settings import Settings
from actors.refs.audit import AuditRef
from actors.refs.gone import ActorGone
from actors.runtime.start import start_audit
from serve_app.reload import Reloaded

MAX_DETAIL: Final = 1024
"""Characters of what a reload came to."""


class Chronicle:
    """The audit of one gateway, from its start to its end. Belongs to one event loop."""

    def __init__(self, settings: AuditSettings, log_format: str, path: Path) -> None:
        self._settings = settings
        self._log_format = log_format
        self._path = path
        self._audit: AuditRef | None = None
        self._auditing: Auditing | None = None
        self._sending: asyncio.Task[None] | None = None

    async def begin(self, settings: Settings) -> bytes:
        """Start the Audit, and have it write that the gateway starts; gives `Keys.arguments`.

        Raises:
            AuditError: there is no log, and none can be begun.
            ActorGone: the Audit has no process.
        """
        key = derived(await asyncio.to_thread(ensure_key, self._path)).arguments
        audit = self._audit = start_audit(self._settings, self._path, self._log_format)
        self._auditing = Auditing(f"command:{uuid.uuid4().hex[:16]}", lambda: audit, self._settings)
        backends = ", ".join(backend.name for backend in settings.backends)
        self._note(Kind.START, f"only1mcp {VERSION}; servers: {backends}")
        self._sending = asyncio.create_task(self._auditing.run())
        return key

    def reloaded(self, reloaded: Reloaded) -> None:
        """The configuration was read again."""
        names = []
        if reloaded.changes is not None:
            for change in ("added", "changed", "removed"):
                names += [f"{change} {name}" for name in getattr(reloaded.changes, change)]
        outcome = "refused" if reloaded.changes is None else "applied"
        self._note(Kind.CONFIG, "; ".join([reloaded.line, *names]), outcome)

    async def end(self) -> None:
        """Have it written that the gateway stops, and end the Audit: when nobody else has anything to say."""
        if self._auditing is None or self._audit is None:
            return
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        self._note(Kind.STOP, "")
        await self._auditing.drain()
        with suppress(ActorGone):
            await self._audit.close()

    def _note(self, kind: Kind, detail: str, outcome: str = "") -> None:
        if self._auditing is not None:
            self._auditing.note(
                Event(time=self._auditing.now(), kind=kind, detail=detail[:MAX_DETAIL], outcome=outcome)
            )
