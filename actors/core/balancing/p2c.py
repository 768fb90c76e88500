"""Power of two choices: sample two, take the less loaded (Mitzenmacher, 2001)."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from actors.core.balancing.candidate import Candidate
from actors.core.balancing.weighted_random import index_by_weight

T = TypeVar("T")


class PowerOfTwoChoices:
    """Spreads calls by load without ever comparing more than two candidates.

    Load counts by weight: twice as much of it is the same to a candidate of twice the weight. The first of the two is
    sampled by weight and wins where both are equal, so that idle candidates have their shares, too.
    """

    def __init__(self, dice: Callable[[], float]) -> None:
        """`dice` gives numbers from 0 up to but not including 1."""
        self._dice = dice

    def choose(self, subset: Sequence[Candidate[T]]) -> T:
        """One member of a non-empty subset; never the more loaded of the two sampled."""
        if len(subset) == 1:
            return subset[0].value
        first = index_by_weight(subset, self._dice())
        second = int(self._dice() * (len(subset) - 1))
        if second >= first:
            second += 1  # any but the first, each as likely
        one, other = subset[first], subset[second]
        return one.value if one.load * other.weight <= other.load * one.weight else other.value
