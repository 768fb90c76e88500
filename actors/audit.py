"""The one who writes the audit. A plain class: it is made an actor elsewhere, tests use it as it is.

Nobody's request waits for it: ingress replicas keep their events until it says that they are written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog

from actors.audit_folder import AuditError
from actors.core.audit.batch import Batch, Receipt
from actors.core.audit_settings import Sync

SYNC_SECONDS: Final = 1.0
"""Between two times that what was written is forced to the disk."""

CLOSE_SECONDS: Final = 5.0
"""How long the last events may take to others."""

log = structlog.get_logger()


class Log(Protocol):
    """Where lines are written; `actors.audit_file.AuditFile` is one. Its methods wait for the disk."""

    def append(self, batch: Batch) -> tuple[bytes, ...]:
        """See `AuditFile.append`."""

    def sync(self) -> None:
        """See `AuditFile.sync`."""

    def close(self) -> None:
        """See `AuditFile.close`."""


class Sink(Protocol):
    """Who gets every line besides. Nothing here raises, and `take` does not wait."""

    def take(self, lines: Sequence[bytes]) -> None:
        """Send the lines sometime; what there is no room for is dropped."""

    def dropped(self) -> int:
        """How many lines were dropped since this was asked last."""

    async def close(self) -> None:
        """Send what there is, and nothing after that."""


class Audit:
    """Writes batches in the order in which they come. Belongs to one event loop."""

    def __init__(
        self,
        file: Log,
        sinks: Sequence[Sink] = (),
        sync: Sync = Sync.INTERVAL,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._file = file
        self._sinks = sinks
        self._sync = sync
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._unsynced = False
        self._syncing: asyncio.Task[None] | None = None
        self._well = True

    async def write(self, batch: Batch) -> Receipt:
        """Write a batch, unless it is written already, and say whether it is in the log now."""
        async with self._turn:
            try:
                lines = await asyncio.to_thread(self._append, batch)
            except (OSError, AuditError) as error:
                reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
                self._note(reason)
                return Receipt(False, reason, self._dropped())
        self._note("")
        for sink in self._sinks:
            sink.take(lines)
        return Receipt(True, "", self._dropped())

    async def close(self) -> None:
        """Force to the disk what was written, send what others are to get, and write no more."""
        if self._syncing is not None:
            self._syncing.cancel()
        async with self._turn:
            with suppress(OSError):
                await asyncio.to_thread(self._file.sync)
            await asyncio.to_thread(self._file.close)
        for sink in self._sinks:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await sink.close()

    def _append(self, batch: Batch) -> tuple[bytes, ...]:
        lines = self._file.append(batch)
        if self._sync is Sync.ALWAYS:
            self._file.sync()
        return lines

    def _note(self, reason: str) -> None:
        well = not reason
        if well is not self._well:
            self._well = well
            if well:
                log.info("audit_written_again")
            else:
                log.error("audit_not_written", reason=reason)
        self._unsynced = self._unsynced or well
        if well and self._sync is Sync.INTERVAL and self._syncing is None:
            self._syncing = asyncio.create_task(self._keep_synced())

    async def _keep_synced(self) -> None:
        while True:
            await self._sleep(SYNC_SECONDS)
            if not self._unsynced:
                continue
            async with self._turn:
                self._unsynced = False
                try:
                    await asyncio.to_thread(self._file.sync)
                except OSError as error:
                    log.error("audit_not_synced", reason=error.strerror or type(error).__name__)

    def _dropped(self) -> int:
        return sum(sink.dropped() for sink in self._sinks)
