"""Which balancer a setting means."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, assert_never

from actors.core.balancing.candidate import Candidate
from actors.core.balancing.p2c import PowerOfTwoChoices
from actors.core.balancing.round_robin import RoundRobin
from actors.core.balancing.weighted_random import Random, WeightedRandom
from actors.core.traffic_settings import Balancing

T = TypeVar("T")


class Balancer(Protocol):
    """Chooses among candidates."""

    def choose(self, subset: Sequence[Candidate[T]], /) -> T:
        """One member of a non-empty subset."""
        ...


def balancer_for(kind: Balancing, dice: Callable[[], float]) -> Balancer:
    """A new balancer. `dice` gives numbers from 0 up to but not including 1.

    `peak_ewma` is a choice by load, which `PeakEwma` measures; so is `hash`, for calls that lack the key.
    """
    match kind:
        case Balancing.LEAST | Balancing.PEAK_EWMA | Balancing.HASH:
            return PowerOfTwoChoices(dice)
        case Balancing.ROUND_ROBIN:
            return RoundRobin()
        case Balancing.RANDOM:
            return Random(dice)
        case Balancing.WEIGHTED_RANDOM:
            return WeightedRandom(dice)
        case _:
            assert_never(kind)
