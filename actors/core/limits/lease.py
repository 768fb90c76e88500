"""The share of an allowance that one ingress replica spends without asking anybody.

It fills and empties like a bucket, whatever the way of counting: what may be spent, and how fast that grows, is heard
now and then from the Router, which hears from all replicas what they spent. Until something is heard it is an equal
part for each replica; when nothing is heard any more, the last part goes on at the average rate of the limit.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from actors.core.limit_settings import RateSettings
from actors.core.limits.token_bucket import ENOUGH

INTERVAL_SECONDS: Final = 0.5
"""Between two reports of a replica."""

LEASE_SECONDS: Final = 3.0
"""A share that was not renewed for so long is nobody's: its replica has no use for it, or is gone."""

PROMISED_SECONDS: Final = 2 * INTERVAL_SECONDS
"""For how long what the Router said of growth is believed."""

Key = tuple[str, ...]
"""Whose allowance it is: the name of the limit, and then what it tells apart."""


class Use(msgspec.Struct, frozen=True, array_like=True):
    """What one replica made of an allowance since it last told."""

    key: Key
    rate: RateSettings
    asked: int
    """Calls that wanted to be made."""
    spent: int
    """Calls that were."""
    part: float
    """The share it goes by."""
    room: float
    """What the whole allowance was taken to have left, those calls deducted."""
    renewed: bool
    """Whether a Router ever said so; if not it is a guess."""


class Share(msgspec.Struct, frozen=True, array_like=True):
    """What one replica may make of an allowance until it hears again."""

    key: Key
    part: float
    """Of the whole: above 0, at most 1."""
    room: float
    """Calls that the whole allowance has left; negative if too many were made."""
    growth: float
    """Calls a second that the whole gains."""
    wait: float
    """Seconds until the whole has room for one."""


class Lease:
    """See `Allowance`; of calls and waits it counts, and tells, what the Router must know."""

    __slots__ = (
        "_at", "_average", "_enough", "_growth", "_level", "_on_active", "_part", "_ready_at", "_renewed_at", "_size",
        "_total", "_until", "asked", "key", "rate", "spent",
    )  # fmt: skip

    def __init__(
        self, key: Key, rate: RateSettings, part: float, now: float, on_active: Callable[["Lease"], None]
    ) -> None:
        """`part` is what it starts with; `on_active` is told at the first question after each report."""
        self.key = key
        self.rate = rate
        self.asked = 0
        self.spent = 0
        self._on_active = on_active
        self._total = float(rate.calls if rate.burst is None else rate.burst)
        self._average = rate.calls / rate.seconds
        self._ready_at = now
        self._renewed_at: float | None = None
        self._at = now
        self._until = now
        self._growth = 0.0
        self._level = self._total * part
        self._set_part(part)

    def ask(self, now: float) -> float:
        """See `Allowance.ask`."""
        self.asked += 1
        if self.asked == 1:
            self._on_active(self)
        level = self._fill(now)
        if level >= self._enough:
            return 0.0
        return max(self._wait(self._enough - level, now), self._ready_at - now)

    def take(self) -> float:
        """See `Allowance.take`; what is left of the whole is estimated from this share of it."""
        self._level -= 1.0
        self.spent += 1
        return self._level / self._part

    def reset(self, now: float) -> float:
        """See `Allowance.reset`; estimated from this share of it."""
        return max(0.0, self._size - self._fill(now)) / (self._part * self._average)

    def report(self, now: float) -> Use:
        """What to tell; what it says was asked is not told again, what was spent is until `renew`."""
        asked, self.asked = self.asked, 0
        room = self._fill(now) / self._part
        return Use(self.key, self.rate, asked, self.spent, self._part, room, self._renewed_at is not None)

    def renew(self, share: Share, spent: int, now: float) -> None:
        """Go by what was answered to a report that told of `spent` calls."""
        self.spent -= spent
        self._set_part(share.part)
        self._level = min(self._size, share.part * share.room - self.spent)
        self._growth = share.part * share.growth
        self._ready_at = now + share.wait
        self._at = self._renewed_at = now
        self._until = now + PROMISED_SECONDS

    def lapse(self, part: float, heard_at: float, now: float) -> None:
        """Fall back to this part if, when the Router was last there, others had got what this one had no use for."""
        if self._renewed_at is None or heard_at - self._renewed_at <= LEASE_SECONDS:
            return
        level = self._fill(now)
        self._set_part(part)
        self._level = min(self._size, level)

    def _set_part(self, part: float) -> None:
        self._part = part
        self._size = self._total * part
        self._enough = min(ENOUGH, self._size * ENOUGH)  # a part of less than one call: one may be made in advance

    def _fill(self, now: float) -> float:
        level, at = self._level, self._at
        if at < self._until:
            promised = min(now, self._until)
            level += (promised - at) * self._growth
            at = promised
        if now > at:
            level += (now - at) * self._part * self._average
        if level > self._size:
            level = self._size
        self._level = level
        self._at = now
        return level

    def _wait(self, missing: float, now: float) -> float:
        promised = max(0.0, self._until - now)
        if missing <= promised * self._growth:
            return missing / self._growth
        return promised + (missing - promised * self._growth) / (self._part * self._average)
