"""How many replicas a backend shall have, by what there is to do: at once more, and fewer only after a while."""

import math
from dataclasses import dataclass

from actors.core.traffic_settings import ScaleSettings


@dataclass(frozen=True, slots=True)
class _Need:
    count: int
    at: float


class Scaling:
    """Remembers how much one backend needed lately. Times are from one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._needs: list[_Need] = []
        """Each less than the one before and later than it: the greatest of any time that ends now."""

    def wanted(self, settings: ScaleSettings, count: int, in_flight: int, now: float) -> int:
        """The number of replicas, given how many there are and how many calls are in flight at all of them.

        As many as keep `target_in_flight` for each; fewer only once `idle_timeout` passed in which fewer would have
        done. A backend without replicas stays so: whoever wants one wakes it.
        """
        need = math.ceil(in_flight / settings.target_in_flight)
        self._note(_Need(need, now), since=now - settings.idle_timeout)
        lately = max(self._needs[0].count, settings.min)
        if count == 0 and settings.min == 0:
            return 0
        if need >= count:
            return min(max(need, settings.min), settings.max)
        return min(max(lately, settings.min), count, settings.max)

    def wake(self, now: float) -> None:
        """Somebody wants one: let there be one for as long as if it had been used now."""
        self._note(_Need(1, now), since=-math.inf)

    def _note(self, need: _Need, since: float) -> None:
        while self._needs and self._needs[-1].count <= need.count:
            self._needs.pop()
        self._needs.append(need)
        while self._needs[0].at < since:
            self._needs.pop(0)
