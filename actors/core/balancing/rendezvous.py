"""Rendezvous hashing: the highest hash of affinity key and name wins (Thaler and Ravishankar, 1998)."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from xxhash import xxh3_64_intdigest

T = TypeVar("T")


def rendezvous(affinity: bytes, subset: Sequence[T], name: Callable[[T], str]) -> T:
    """One member of a non-empty subset: the same for an affinity key wherever and in whatever order it is asked for.

    `name` gives each member a name of its own. When one member leaves, only the keys that it had go elsewhere, spread
    over all others.
    """

    def rank(member: T) -> tuple[int, str]:
        called = name(member)
        return xxh3_64_intdigest(affinity + b"\0" + called.encode()), called

    return max(subset, key=rank)
