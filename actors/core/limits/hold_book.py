"""Who may have how much of each principal's quota of calls, as the Router keeps it.

What runs elsewhere is deducted; of the rest everyone gets what is in proportion to what is wanted of it.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from actors.core.limits.hold_count import Grant, Hold
from actors.core.limits.lease import LEASE_SECONDS

MAX_KEYS: Final = 100_000
"""Principals that are remembered; of more the one unheard of for longest is forgotten."""


class HoldBook:
    """Callers pass times from one clock, in seconds, that never goes back."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._told: OrderedDict[str, dict[str, tuple[float, Hold]]] = OrderedDict()
        """By principal and replica: when it told last, and what."""

    def __len__(self) -> int:
        return len(self._told)

    def grant(self, source: str, holds: Iterable[Hold], now: float) -> tuple[Grant, ...]:
        """Take what a replica tells, and say what it may have until it tells again."""
        return tuple(Grant(hold.key, self._grant(source, hold, now)) for hold in holds)

    def _grant(self, source: str, hold: Hold, now: float) -> int:
        told = self._told.setdefault(hold.key, {})
        self._told.move_to_end(hold.key)
        if len(self._told) > self._max_keys:
            self._told.popitem(last=False)
        told[source] = now, hold
        for name in [name for name, (at, _) in told.items() if now - at > LEASE_SECONDS]:
            del told[name]
        running = sum(other.running for name, (_, other) in told.items() if name != source)
        return max(
            0,
            min(_part(source, {name: each.wanted for name, (_, each) in told.items()}, hold.most), hold.most - running),
        )


def _part(source: str, wanted: dict[str, int], most: int) -> int:
    """The part of one of them in whole numbers, at least one; but for that they are `most` together."""
    total = sum(wanted.values())
    upto = 0
    for name in sorted(wanted):
        before = round(most * upto / total)
        upto += wanted[name]
        if name == source:
            return max(1, round(most * upto / total) - before)
    raise KeyError(source)
