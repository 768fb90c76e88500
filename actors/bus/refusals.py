"""Connections that were not taken for links, counted; a stranger who comes again and again must not fill the log."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from actors.core.link_refusal import REFUSALS, LinkRefusal, Refused

LOG_SECONDS: Final = 10.0
"""Between two lines of the log."""

log = structlog.get_logger()


class Refusals:
    """Those of one listener."""

    def __init__(self, backend: str, clock: Callable[[], float], heard: Callable[[LinkRefusal], None]) -> None:
        """`heard` is told of each."""
        self._counts: Counter[LinkRefusal] = Counter()
        self._backend = backend
        self._clock = clock
        self._heard = heard
        self._logged_at: float | None = None

    @property
    def counts(self) -> Refused:
        """Since it began to listen."""
        return tuple(self._counts[why] for why in REFUSALS)

    def note(self, why: LinkRefusal, reason: str) -> None:
        """One more; `reason` is for people, and has at most a printable sentence of what the stranger sent."""
        self._counts[why] += 1
        self._heard(why)
        now = self._clock()
        if self._logged_at is None or now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            log.warning("links_refused", backend=self._backend, reason=reason, count=self._counts.total())
