"""Who of those that could take a call may have it: eligibility is one question, preference (the balancer) another."""

from collections.abc import Collection, Sequence
from typing import TypeVar

from actors.core.balancing.candidate import Candidate

T = TypeVar("T")


def subset_of(
    standing: Sequence[Candidate[T]],
    *,
    refusing: Collection[str] = (),
    ejected: Collection[str] = (),
    near: Collection[str] = (),
) -> Sequence[Candidate[T]]:
    """Narrow down the candidates that are up, linked and untried. Rungs, in order; none leaves nobody:

    1. Those whose breaker refuses calls are left out.
    2. The ejected are left out.
    3. Those that are near come before all others; nobody is near if that does not matter.
    """
    left = standing
    if refusing:
        left = [candidate for candidate in left if candidate.name not in refusing] or left
    if ejected:
        left = [candidate for candidate in left if candidate.name not in ejected] or left
    if near:
        left = [candidate for candidate in left if candidate.name in near] or left
    return left
