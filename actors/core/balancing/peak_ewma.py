"""How soon each replica answers: a moving average that jumps up at once and decays slowly.

It also decays while nothing is heard: a slow replica is tried again after a while. As in Finagle's `PeakEwma`.
"""

from collections.abc import Collection
from math import exp
from typing import Final

DECAY_SECONDS: Final = 10.0
"""After so long an observation counts for about a third."""

FAILURE_SECONDS: Final = 1.0
"""What a failure counts for at least: one that comes at once is no quick answer."""

UNKNOWN_SECONDS: Final = 86_400.0
"""What each call in flight counts for at a replica that never answered: it gets one, and more when that is answered."""


class PeakEwma:
    """The averages of some replicas, by name. Callers pass `now` from a monotonic clock, in seconds."""

    def __init__(self, decay_seconds: float = DECAY_SECONDS) -> None:
        self._decay_seconds = decay_seconds
        self._averages: dict[str, tuple[float, float]] = {}
        """Seconds, and when that was."""

    def record(self, name: str, seconds: float, now: float, *, success: bool) -> None:
        """Account for a call that took so long."""
        seconds = max(0.0, seconds if success else max(seconds, FAILURE_SECONDS))
        known = self._averages.get(name)
        if known is not None:
            share = self._share_left(now - known[1])
            seconds = max(seconds, known[0] * share + seconds * (1 - share))
        self._averages[name] = seconds, now

    def load(self, name: str, in_flight: float, now: float) -> float:
        """The seconds that all calls there would take with one more, roughly."""
        known = self._averages.get(name)
        if known is None:
            return UNKNOWN_SECONDS * in_flight
        return known[0] * self._share_left(now - known[1]) * (in_flight + 1)

    def forget(self, name: str) -> None:
        """It is another one by now."""
        self._averages.pop(name, None)

    def keep(self, names: Collection[str]) -> None:
        """Forget all others."""
        self._averages = {name: known for name, known in self._averages.items() if name in names}

    def _share_left(self, seconds: float) -> float:
        return exp(-max(0.0, seconds) / self._decay_seconds)
