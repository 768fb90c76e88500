"""Consistent hashing: members and keys on one ring; a key belongs to the first member after it (Karger et al., 1997).

The hash is xxh3-64, so every ingress, and every version of it, comes to the same result.
"""

from bisect import bisect_right
from collections.abc import Container, Mapping
from typing import Final

from xxhash import xxh3_64_intdigest

VIRTUAL_NODES: Final = 150
"""Points of the heaviest member: with so many, shares differ from the ideal by some 8 %."""


class Ring:
    """Has all members of a backend, whether they take calls or not: those that do not are passed over.

    So losing one moves only the keys that it had, and they come back to it.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        """`weights` are by name, and more than 0; a member of half the weight has half the points."""
        heaviest = max(weights.values(), default=1.0)
        points = sorted(
            (xxh3_64_intdigest(f"{name}#{number}".encode()), name)
            for name, weight in weights.items()
            for number in range(max(1, round(VIRTUAL_NODES * weight / heaviest)))
        )
        self._places = [place for place, _ in points]
        self._names = [name for _, name in points]

    def owner(self, key: bytes, among: Container[str]) -> str:
        """The member that a key belongs to, if only those `among` the given names count.

        Raises:
            LookupError: no member is among them.
        """
        names = self._names
        start = bisect_right(self._places, xxh3_64_intdigest(key))
        for place in range(start - len(names), start):  # negative places count from the end: once around
            if names[place] in among:
                return names[place]
        raise LookupError("none of them is on the ring")
