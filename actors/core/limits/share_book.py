"""Who has which share of each allowance, as the Router keeps it.

An allowance is kept whole here: what the replicas spent is deducted as they tell, so whatever their shares were, what
is admitted in the long run is the limit. What a replica has spent since it last told is estimated by what it spent
before. Shares go by demand, so that nobody waits for what another does not use.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from actors.core.limit_settings import RateSettings
from actors.core.limits.allowance import Gauge, gauge_of
from actors.core.limits.lease import INTERVAL_SECONDS, LEASE_SECONDS, Key, Share, Use

FLOOR: Final = 0.1
"""Of each allowance this is divided equally among those who use it, so that a little new demand need not wait."""

SMOOTHING: Final = 0.5
"""What the last interval weighs against all before, when demand is estimated."""

MAX_ENTRIES: Final = 100_000
"""Allowances that are remembered; of more the one unheard of for longest is forgotten, and starts anew."""

LEAST_SECONDS: Final = 0.05
"""Between two reports, for rates: one that follows at once says little of them."""


@dataclass(slots=True)
class _Holder:
    at: float
    """When it last told."""
    demand: float
    """Calls a second that it is asked for."""
    pace: float
    """Calls a second that it made between its last two reports."""


@dataclass(slots=True)
class _Entry:
    rate: RateSettings
    gauge: Gauge
    holders: dict[str, _Holder] = field(default_factory=dict)


class ShareBook:
    """Callers pass times from one clock, in seconds, that never goes back."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        """The one unheard of for longest first."""

    def __len__(self) -> int:
        return len(self._entries)

    def share(self, source: str, uses: Iterable[Use], now: float) -> tuple[Share, ...]:
        """Take what a replica tells, and say what it has until it tells again."""
        return tuple(self._share(source, use, now) for use in uses)

    def _share(self, source: str, use: Use, now: float) -> Share:
        entry = self._entries.get(use.key)
        begins = entry is None or entry.rate != use.rate
        if entry is None or begins:
            entry = _Entry(use.rate, gauge_of(use.rate, now))
        self._entries[use.key] = entry
        self._entries.move_to_end(use.key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        first = source not in entry.holders
        self._note(entry, source, use, now)
        unseen = sum(
            other.pace * min(now - other.at, 2 * INTERVAL_SECONDS)
            for name, other in entry.holders.items()
            if name != source
        )
        gauge = entry.gauge
        if begins and use.renewed:  # known to the replica from a Router before this one
            gauge.start_from(use.room)
        else:
            gauge.settle(now, spent=use.spent, unseen=unseen, lag=INTERVAL_SECONDS)
        room = gauge.room(now) - unseen
        part = _part(entry, source, now)
        if first:  # others may be about to tell of it for the first time, too
            part, room = min(part, use.part), min(room, use.room)
        return Share(use.key, part, room, gauge.growth(now, INTERVAL_SECONDS), gauge.wait(now, room))

    def _note(self, entry: _Entry, source: str, use: Use, now: float) -> None:
        for name in [name for name, holder in entry.holders.items() if now - holder.at > LEASE_SECONDS]:
            del entry.holders[name]
        holder = entry.holders.get(source)
        if holder is None:
            demand, pace = use.asked / INTERVAL_SECONDS, use.spent / INTERVAL_SECONDS
        else:
            elapsed = max(now - holder.at, LEAST_SECONDS)
            demand = SMOOTHING * use.asked / elapsed + (1 - SMOOTHING) * holder.demand
            pace = use.spent / elapsed
        entry.holders[source] = _Holder(now, demand, pace)


def _part(entry: _Entry, source: str, now: float) -> float:
    """A replica's part of an allowance: in proportion to demand, above a floor."""
    weights = {name: _weight(holder, now) for name, holder in entry.holders.items()}
    total, count = sum(weights.values()), len(weights)
    proportion = weights[source] / total if total > 0 else 1 / count
    return FLOOR / count + (1 - FLOOR) * proportion


def _weight(holder: _Holder, now: float) -> float:
    """Its demand; of one that tells nothing any more, half as much after each interval."""
    late = max(0.0, (now - holder.at) / INTERVAL_SECONDS - 1.5)
    return holder.demand * math.exp2(-late)
