"""Power of two choices: sample two, take the less loaded (Mitzenmacher, 2001)."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from actors.core.balancing.candidate import Candidate

T = TypeVar("T")


class PowerOfTwoChoices:
    """Spreads calls by load without ever looking at more than two candidates."""

    def __init__(self, dice: Callable[[], float]) -> None:
        """`dice` gives numbers from 0 up to but not including 1."""
        self._dice = dice

    def choose(self, subset: Sequence[Candidate[T]]) -> T:
        """One member of a non-empty subset; never the more loaded of the two sampled."""
        if len(subset) == 1:
            return subset[0].value
        first = int(self._dice() * len(subset))
        second = int(self._dice() * (len(subset) - 1))
        if second >= first:
            second += 1  # any but the first, each as likely
        one, other = subset[first], subset[second]
        return one.value if one.load <= other.load else other.value
