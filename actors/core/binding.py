"""Which replica the calls of a session must come to, backend by backend.

A binding is changed by a newer one only, and of two that were made apart everybody prefers the same: whoever merges
what others know, in whatever order, comes to the same.
"""

from bisect import bisect_left
from collections.abc import Iterable
from operator import attrgetter
from typing import Final

import msgspec

from actors.core.membership import ReplicaKey

MAX_BINDINGS: Final = 256
"""Of one session; its calls to any further backend are not bound."""

UNBOUND: Final = -1
"""The index where there is no replica."""

_backend_of: Final = attrgetter("backend")


class Binding(msgspec.Struct, frozen=True, array_like=True):
    """One session at one backend."""

    backend: str
    number: int
    """How often it was bound or lost its replica: the higher is newer. 0 is one that nobody keeps."""
    index: int = UNBOUND
    epoch: str = ""
    """The life of the replica that the session's state is in."""

    @property
    def is_bound(self) -> bool:
        """Whether there is a replica; else it was lost, and the next call finds another one."""
        return self.index != UNBOUND

    @property
    def replica(self) -> ReplicaKey:
        """The replica, where there is one."""
        return ReplicaKey(self.backend, self.index)

    @property
    def lost(self) -> "Binding":
        """What comes after it when its replica is gone."""
        return Binding(self.backend, self.number + 1)


Bindings = tuple[Binding, ...]
"""One for each backend, in the order of their names."""


def binding_at(bindings: Bindings, backend: str) -> Binding | None:
    """The one at this backend, if there ever was one."""
    place = bisect_left(bindings, backend, key=_backend_of)
    return bindings[place] if place < len(bindings) and bindings[place].backend == backend else None


def with_binding(bindings: Bindings, binding: Binding) -> Bindings:
    """All, and this one if it is newer; the first of two with one number stays. The same if there are too many."""
    known = binding_at(bindings, binding.backend)
    if known is None:
        return bindings if len(bindings) >= MAX_BINDINGS else _in_order([*bindings, binding])
    if known.number >= binding.number:
        return bindings
    return tuple(binding if each is known else each for each in bindings)


def merged_bindings(one: Bindings, other: Bindings) -> Bindings:
    """What two make of it who knew a session: the newer of each; one of two with one number, the same for everybody.

    Of too many those stay that come first by name, since everybody must leave out the same.
    """
    if one == other:
        return one
    merged = {binding.backend: binding for binding in one}
    for binding in other:
        known = merged.get(binding.backend)
        merged[binding.backend] = binding if known is None else max(known, binding, key=_rank)
    return _in_order(merged.values())[:MAX_BINDINGS]


def _in_order(bindings: Iterable[Binding]) -> Bindings:
    return tuple(sorted(bindings, key=_backend_of))


def _rank(binding: Binding) -> tuple[int, int, str]:
    return binding.number, binding.index, binding.epoch
