"""Passive ejection: an ingress leaves a replica alone for a while that failed its calls, one after the other.

Each ingress judges by its own outcomes, and tells nobody: what fails may be the way from there.
"""

from collections.abc import Collection
from itertools import islice
from typing import Final

from actors.core.outcome import Failure, FailureKind, Outcome
from actors.core.traffic_settings import EjectionSettings

EJECTING: Final = frozenset(
    {
        FailureKind.UNAVAILABLE,
        FailureKind.TIMEOUT,
        FailureKind.DISCONNECTED,
        FailureKind.PROTOCOL,
        FailureKind.TOO_LARGE,
    }
)
"""The failures that speak against the replica. All others say nothing about it: the client, the request or a limit is
their cause, or a breaker that takes care of itself. A reply always speaks for it, an error too."""

MAX_TIMES: Final = 10
"""Ejections in a row after which they become no longer."""


class _Record:
    def __init__(self) -> None:
        self.failures = 0
        """In a row."""
        self.times = 0
        """Ejections in a row."""


class Ejections:
    """The ejections of one backend's replicas, by name. Callers pass `now` from a monotonic clock, in seconds.

    An ejection ends by itself. From then on one failure is enough for the next, longer one; one reply ends the row.
    """

    def __init__(self, settings: EjectionSettings) -> None:
        self._settings = settings
        self._most = 0
        """So many can be ejected at once."""
        self._records: dict[str, _Record] = {}
        """Of those that failed since they last replied."""
        self._until: dict[str, float] = {}
        """When ejections end, in the order in which they began."""

    def keep(self, names: Collection[str]) -> None:
        """These are all replicas that there are: forget others."""
        self._most = int(self._settings.max_share * len(names))
        self._records = {name: record for name, record in self._records.items() if name in names}
        self._until = {name: until for name, until in self._until.items() if name in names}

    def forget(self, name: str) -> None:
        """It was repaired, or is another one by now."""
        self._records.pop(name, None)
        self._until.pop(name, None)

    def record(self, name: str, outcome: Outcome, now: float) -> float | None:
        """Account for what a call came to; the seconds of the ejection that begins with it, if one does."""
        if not isinstance(outcome, Failure):
            self._records.pop(name, None)
            return None
        if outcome.kind not in EJECTING:
            return None
        record = self._records.setdefault(name, _Record())
        record.failures += 1
        if record.failures < self._settings.failures or self._until.get(name, now) > now:
            return None
        record.times = min(record.times + 1, MAX_TIMES)
        seconds = self._settings.seconds * record.times
        self._until.pop(name, None)
        self._until[name] = now + seconds
        return seconds if name in self.ejected(now) else None

    def ejected(self, now: float) -> Collection[str]:
        """Those that are left alone now: of more than the settings' share, the ones who were first."""
        if not self._until:
            return ()
        for name in [name for name, until in self._until.items() if until <= now]:
            del self._until[name]
        return frozenset(islice(self._until, self._most))
