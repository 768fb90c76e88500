"""Connections that TLS refused, counted; a stranger who comes again and again must not fill the log."""

from collections.abc import Callable
from typing import Final

import structlog

LOG_SECONDS: Final = 10.0
"""Between two lines of the log."""

log = structlog.get_logger()


class Refusals:
    """Those of one listener."""

    def __init__(self, backend: str, clock: Callable[[], float]) -> None:
        self.count = 0
        """Since it began to listen."""
        self._backend = backend
        self._clock = clock
        self._logged_at: float | None = None

    def note(self, reason: str) -> None:
        """One more; `reason` is for people, and has nothing of what the stranger sent."""
        self.count += 1
        now = self._clock()
        if self._logged_at is None or now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            log.warning("links_refused", backend=self._backend, reason=reason, count=self.count)
