"""Power of two choices: sample two, take the less loaded (Mitzenmacher, 2001)."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from actors.core.balancing.candidate import Candidate

T = TypeVar("T")


class PowerOfTwoChoices:
    """Spreads calls by load without ever looking at more than two candidates."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def choose(self, subset: Sequence[Candidate[T]]) -> T:
        """One member of a non-empty subset; never the more loaded of the two sampled."""
        if len(subset) == 1:
            return subset[0].value
        first, second = self._rng.sample(subset, 2)
        return first.value if first.load <= second.load else second.value
