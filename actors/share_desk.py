"""The Router's desk for limits: ingress replicas tell what they used, and hear what their shares are."""

import time
from collections.abc import Callable

from actors.core.limits.hold_book import HoldBook
from actors.core.limits.place_book import PlaceBook
from actors.core.limits.report import LimitReport, LimitShares
from actors.core.limits.share_book import ShareBook


class ShareDesk:
    """`clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shares = ShareBook()
        self._holds = HoldBook()
        self._places = PlaceBook()

    def share(self, report: LimitReport) -> LimitShares:
        """Take a report, and say what its replica may use until the next. It may tell for itself only."""
        now = self._clock()
        for places in report.places:
            self._places.tell(report.source, places, now)
        return LimitShares(
            self._shares.share(report.source, report.uses, now),
            self._holds.grant(report.source, report.holds, now),
            report.want is not None and self._places.give(report.source, report.want, now),
        )
