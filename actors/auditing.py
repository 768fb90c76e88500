"""Sends what is to be remembered to the Audit, and knows whether it gets there.

`note` never waits: events are kept here, in a bounded number, until the Audit says that they are in its log.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from actors.core.audit.batch import Batch, Receipt
from actors.core.audit.event import Event, Kind, encoded
from actors.core.audit_settings import AuditSettings, OnFailure
from actors.core.tally import AuditCounts

MAX_BATCH: Final = 500
"""Events of one batch: what a disk takes in a moment, and a message to an actor may hold."""

UNREACHABLE_SECONDS: Final = 15.0
"""How long the Audit may be silent before that is taken for a failure: longer than its process takes to start anew."""

REFUSING_ROOM: Final = 2
"""Where calls are refused once the buffer is full, those that run by then find so many times the room."""

DRAIN_SECONDS: Final = 5.0
"""How long the last events may take."""

MAX_DENIALS: Final = 50
"""Strangers turned away that are listed each second: they must not be able to fill the log with themselves."""

UNLISTED: Final = "further ones, not listed"
OVERFLOW: Final = "more events than can wait"

log = structlog.get_logger()


class Writer(Protocol):
    """Who writes; `actors.refs.audit.AuditRef` is one."""

    async def write(self, batch: Batch) -> Receipt:
        """See `AuditRef.write`."""


class Auditing:
    """The events of one process. Belongs to one event loop."""

    def __init__(
        self,
        source: str,
        find_audit: Callable[[], Writer],
        settings: AuditSettings,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`source` names this process to the Audit; `clock` is in seconds, `now` tells the time with its zone."""
        self._source = source
        self._find_audit = find_audit
        self._audit: Writer | None = None
        """Whom the last batch went to: finding it takes as long as sending to it."""
        self._settings = settings
        self._clock = clock
        self.now = now
        refuses = settings.on_failure is OnFailure.REFUSE
        self._room = settings.buffer * (REFUSING_ROOM if refuses else 1)
        self._refuses = refuses
        self._events: list[bytes] = []
        self._unsent: Batch | None = None
        self._sequence = 0
        self._lost_unsaid = 0
        """Events that found no room, and of which the log knows nothing yet."""
        self._second = 0
        self._listed = 0
        """Denials of that second."""
        self._denials_unsaid = 0
        self._written = 0
        self._lost = 0
        self._dropped = 0
        self._well = True
        self._silent_since: float | None = None

    def note(self, event: Event) -> None:
        """Have an event written. Never raises: what cannot be kept is counted."""
        if self.waiting >= self._room:
            self._lose()
            return
        try:
            self._events.append(encoded(event))
        except (ValueError, TypeError) as error:  # a text that is not Unicode, say
            log.error("audit_event_unwritable", kind=event.kind, reason=type(error).__name__)
            self._lose()

    def note_denial(self, event: Event) -> None:
        """Have it written that a stranger was turned away: so many a second, and of the others how many there were."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._listed = second, 0
        self._listed += 1
        if self._listed <= MAX_DENIALS:
            self.note(event)
        else:
            self._denials_unsaid += 1

    @property
    def waiting(self) -> int:
        """Events that are not known to be written."""
        return len(self._events) + (len(self._unsent.events) if self._unsent is not None else 0)

    @property
    def counts(self) -> AuditCounts:
        """What became of all events so far."""
        return AuditCounts(self._written, self._lost, self._dropped, self.waiting)

    @property
    def refusing(self) -> bool:
        """Whether calls are to be refused, because they could not be remembered."""
        if not self._refuses:
            return False
        silent = self._silent_since is not None and self._clock() - self._silent_since >= UNREACHABLE_SECONDS
        return silent or not self._well or self.waiting >= self._settings.buffer

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Send for ever."""
        while True:
            await sleep(self._settings.flush_seconds)
            while await self.send() and len(self._events) >= MAX_BATCH:
                pass

    async def send(self) -> bool:
        """Send one batch; false if there is nothing to send, or it did not get there."""
        batch = self._unsent or self._next()
        if batch is None:
            return False
        self._unsent = batch
        if self._silent_since is None:
            self._silent_since = self._clock()
        try:
            self._audit = self._audit or self._find_audit()
            receipt = await self._audit.write(batch)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the batch is kept
            log.debug("audit_batch_kept", reason=repr(error))
            self._audit = None
            return False
        self._silent_since = None
        self._dropped += receipt.dropped
        self._heard(receipt)
        if receipt.written:
            self._written += len(batch.events)
            self._unsent = None
        return receipt.written

    async def drain(self) -> None:
        """Send what there is, for a while."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self.send():
                    pass
        except TimeoutError:
            pass
        if self.waiting:
            log.error("audit_events_lost", events=self.waiting)

    def _next(self) -> Batch | None:
        if self._lost_unsaid:
            loss = Event(time=self.now(), kind=Kind.LOSS, detail=OVERFLOW, count=self._lost_unsaid)
            self._events.append(encoded(loss))
            self._lost_unsaid = 0
        if self._denials_unsaid:
            more = Event(time=self.now(), kind=Kind.DENIAL, detail=UNLISTED, count=self._denials_unsaid)
            self._events.append(encoded(more))
            self._denials_unsaid = 0
        if not self._events:
            return None
        self._sequence += 1
        events, self._events = tuple(self._events[:MAX_BATCH]), self._events[MAX_BATCH:]
        return Batch(self._source, self._sequence, events)

    def _lose(self) -> None:
        self._lost += 1
        self._lost_unsaid += 1

    def _heard(self, receipt: Receipt) -> None:
        if receipt.written is self._well:
            return
        self._well = receipt.written
        if receipt.written:
            log.info("audit_written_again", lost=self._lost)
        else:
            log.error("audit_not_written", reason=receipt.reason, on_failure=self._settings.on_failure.value)
