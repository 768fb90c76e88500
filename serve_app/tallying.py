"""Counts at the edge, and sends what was counted to Metrics every few seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from actors.core.tally import Report, Tally
from actors.refs import MetricsRef

SECONDS: Final = 2.0
"""Between two reports."""

log = structlog.get_logger()


class Tallying:
    """One tally at a time; a report which Metrics may not have got is sent again as it was, before the next."""

    def __init__(self, source: str, find_metrics: Callable[[], MetricsRef]) -> None:
        self._source = source
        self._find_metrics = find_metrics
        self._unsent: Report | None = None
        self._sequence = 0
        self.tally = Tally()

    async def send(self) -> None:
        """Send what there is; keep it if Metrics is not there."""
        if self._unsent is None and self.tally:
            self._sequence += 1
            self._unsent = Report(self._source, self._sequence, self.tally)
            self.tally = Tally()
        if self._unsent is None:
            return
        try:
            await self._find_metrics().report(self._unsent)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with Metrics, calls are not to suffer from it
            log.debug("report_kept", reason=repr(error))
            return
        self._unsent = None

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Send for ever."""
        while True:
            await sleep(SECONDS)
            await self.send()
