"""In turns, by weight, and without bursts: the smooth weighted round robin of nginx (`ngx_http_upstream_round_robin`).

Each candidate gains its weight at every turn; the one that has gained most is chosen, and pays what all gained.
"""

from collections.abc import Sequence
from typing import TypeVar

from actors.core.balancing.candidate import Candidate

T = TypeVar("T")


class RoundRobin:
    """Takes turns. It remembers every name it has met: make another when the candidates have become others."""

    def __init__(self) -> None:
        self._gained: dict[str, float] = {}

    def choose(self, subset: Sequence[Candidate[T]]) -> T:
        """One member of a non-empty subset; of those that have gained the same, the first."""
        gained = self._gained
        best = subset[0]
        most, total = float("-inf"), 0.0
        for candidate in subset:
            total += candidate.weight
            mine = gained[candidate.name] = gained.get(candidate.name, 0.0) + candidate.weight
            if mine > most:
                best, most = candidate, mine
        gained[best.name] -= total
        return best.value
