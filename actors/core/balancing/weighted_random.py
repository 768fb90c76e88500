"""By chance, alike for all or by weight."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from actors.core.balancing.candidate import Candidate

T = TypeVar("T")


class Random:
    """Any candidate, each as likely, whatever its weight."""

    def __init__(self, dice: Callable[[], float]) -> None:
        """`dice` gives numbers from 0 up to but not including 1."""
        self._dice = dice

    def choose(self, subset: Sequence[Candidate[T]]) -> T:
        """One member of a non-empty subset."""
        return subset[int(self._dice() * len(subset))].value


class WeightedRandom:
    """Any candidate, each as likely as its share of the weights."""

    def __init__(self, dice: Callable[[], float]) -> None:
        """`dice` gives numbers from 0 up to but not including 1."""
        self._dice = dice

    def choose(self, subset: Sequence[Candidate[T]]) -> T:
        """One member of a non-empty subset."""
        return subset[index_by_weight(subset, self._dice())].value


def index_by_weight(subset: Sequence[Candidate[T]], dice: float) -> int:
    """The place in a non-empty subset that `dice`, from 0 up to but not including 1, falls on."""
    total = 0.0
    for candidate in subset:
        total += candidate.weight
    left = dice * total
    for index, candidate in enumerate(subset):
        left -= candidate.weight
        if left < 0:
            return index
    return len(subset) - 1  # sums of fractions are rounded
