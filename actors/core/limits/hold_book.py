"""Who may have how much of each principal's quota of calls, streams and WebSockets, as the Router keeps it.

Of calls, what runs elsewhere is deducted; of the rest everyone gets what is in proportion to what is wanted of it, and
between two reports there may be some too many. Of streams and WebSockets nobody gets more than it wants, and what was
granted elsewhere is deducted, too, until its replica says that it is not used.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from actors.core.limits.hold_count import Grant, Hold
from actors.core.limits.lease import LEASE_SECONDS

MAX_KEYS: Final = 100_000
"""Principals that are remembered; of more the one unheard of for longest is forgotten."""


class _Told(NamedTuple):
    at: float
    hold: Hold
    granted: int


class HoldBook:
    """Callers pass times from one clock, in seconds, that never goes back."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._told: OrderedDict[str, dict[str, _Told]] = OrderedDict()
        """By principal and replica."""

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
        for name in [name for name, each in told.items() if now - each.at > LEASE_SECONDS]:
            del told[name]
        others = [each for name, each in told.items() if name != source]
        if hold.asked:
            part = hold.wanted
            taken = sum(max(each.hold.running, each.granted) for each in others)
        else:
            wanted = {name: each.hold.wanted for name, each in told.items()} | {source: hold.wanted}
            part = _part(source, wanted, hold.most)
            taken = sum(each.hold.running for each in others)
        granted = max(0, min(part, hold.most - taken))
        told[source] = _Told(now, hold, granted)
        return granted


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
