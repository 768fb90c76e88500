"""Counts at the edge, and sends what was counted to Metrics every few seconds."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, Protocol

import structlog

from actors.core.incident import Incident
from actors.core.tally import AuditCounts, Report, Tally
from actors.refs.metrics import MetricsRef

SECONDS: Final = 2.0
"""Between two reports."""

log = structlog.get_logger()


class Note(Protocol):
    """Counts what befell a call; `Tallying.note` is one."""

    def __call__(self, incident: Incident, backend: str, reason: str = "") -> None:
        """See `Tally.note`."""


def nowhere(incident: Incident, backend: str, reason: str = "") -> None:
    """The `Note` of who is not interested."""


class Tallying:
    """One tally at a time; a report which Metrics may not have got is sent again as it was, before the next."""

    def __init__(
        self,
        source: str,
        find_metrics: Callable[[], MetricsRef],
        ejected: Callable[[], Mapping[str, Collection[str]]] = dict,
        audited: Callable[[], AuditCounts] = AuditCounts,
    ) -> None:
        """`source` names this process to Metrics; `ejected` gives what `Report.ejected` is to say.

        `audited` gives what became of all events of the audit that this process has noted.
        """
        self._source = source
        self._find_metrics = find_metrics
        self._ejected = ejected
        self._told: Mapping[str, Collection[str]] = {}
        """What the last report said of ejections."""
        self._audited = audited
        self._audit_told = AuditCounts()
        """What all reports together said of the audit."""
        self._unsent: Report | None = None
        self._sequence = 0
        self.tally = Tally()

    def note(self, incident: Incident, backend: str, reason: str = "") -> None:
        """See `Tally.note`."""
        self.tally.note(incident, backend, reason)

    async def send(self) -> None:
        """Send what there is; keep it if Metrics is not there."""
        if self._unsent is None:
            self._prepare()
        if self._unsent is None:
            return
        try:
            await self._find_metrics().report(self._unsent)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with Metrics, calls are not to suffer from it
            log.debug("report_kept", reason=repr(error))
            return
        self._unsent = None

    def _prepare(self) -> None:
        """Make a report if there is news; as long as replicas are ejected, Metrics must hear that they still are."""
        ejected, audited = self._ejected(), self._audited()
        if self.tally or ejected or self._told or audited != self._audit_told:
            self._sequence += 1
            self._unsent = Report(self._source, self._sequence, self.tally, ejected, audited.since(self._audit_told))
            self._told, self._audit_told = ejected, audited
            self.tally = Tally()

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Send for ever."""
        while True:
            await sleep(SECONDS)
            await self.send()
