"""The streams and WebSockets that each principal has open here, each of which takes a place of a quota.

They stay open for long, so with several ingress replicas every one of them is asked for at the Router, and they are
never too many; see `place_book`. Calls are told of now and then instead, see `hold_count`.
"""

from typing import Final

import msgspec

from actors.core.limits.admission import Reason, Refused, refused
from actors.core.principal import Principal

MAX_PLACES: Final = 2_000
"""Principals in one report; further ones are in the next."""

RETRY_SECONDS: Final = 5.0
"""When a refused caller may try again: nobody knows when a stream ends."""


class Want(msgspec.Struct, frozen=True, array_like=True):
    """One more place that is asked for."""

    number: int
    """Counts what this replica says to the Router: answers and questions may overtake each other."""
    key: str
    """Whose it is, and what is counted, see `key_of`."""
    most: int
    """The quota."""


class Places(msgspec.Struct, frozen=True, array_like=True):
    """How many places of a principal are taken here, or asked for, when it is told."""

    number: int
    """See `Want`."""
    key: str
    taken: int


class _Count:
    __slots__ = ("asking", "open")

    def __init__(self) -> None:
        self.open = 0
        self.asking = 0


class PlaceCount:
    """One replica alone has the whole quota, asks nobody, and never reports."""

    def __init__(self, replicas: int = 1) -> None:
        self._replicas = replicas
        self._counts: dict[str, _Count] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._counts)

    def want(self, key: str, most: int) -> Want | None:
        """What to ask the Router; `heard` must follow. Nothing for one who wants more at once than may ever be."""
        count = self._counts.setdefault(key, _Count())
        if count.asking >= most:
            return None
        count.asking += 1
        return Want(self._next(), key, most)

    def heard(self, key: str) -> None:
        """The Router has answered, or will not."""
        self._counts[key].asking -= 1

    def enter(self, key: str, most: int, what: Reason, given: bool | None = None) -> Refused | None:
        """A stream wants to be opened; `leave` must follow unless that is refused.

        `given` is what the Router says. If it says nothing, an equal part of the quota is here, at least one.
        """
        count = self._counts.setdefault(key, _Count())
        if given is None:
            given = count.open < max(1, most // self._replicas)
        if given:
            count.open += 1
            return None
        return refused(what, RETRY_SECONDS)

    def leave(self, key: str) -> None:
        """One of them has ended; one that began when there was no quota was not counted."""
        count = self._counts.get(key)
        if count is not None and count.open:
            count.open -= 1
            if self._replicas == 1 and not count.open:
                del self._counts[key]

    def report(self) -> tuple[Places, ...]:
        """What to tell the Router; what nobody has any more is told once."""
        told: list[Places] = []
        for key, count in list(self._counts.items())[:MAX_PLACES]:
            taken = count.open + count.asking
            told.append(Places(self._next(), key, taken))
            del self._counts[key]
            if taken:
                self._counts[key] = count  # whom there was no room for comes first in the next
        return tuple(told)

    def _next(self) -> int:
        self._number += 1
        return self._number


def key_of(what: Reason, principal: Principal) -> str:
    """Under what the streams or WebSockets of a principal are counted."""
    return f"{what.value} {principal.key}"
