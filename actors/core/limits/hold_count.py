"""How many calls of each principal run here, and how many may: this ingress replica's part of a quota."""

from collections.abc import Sequence
from typing import Final

import msgspec

from actors.core.limits.admission import Reason, Refused, refused
from actors.core.limits.lease import LEASE_SECONDS

MAX_HOLDS: Final = 2_000
"""Principals in one report; further ones are in the next."""

RETRY_SECONDS: Final = 1.0
"""When a refused caller may try again: nobody knows when a call ends, but most do so soon."""


class Hold(msgspec.Struct, frozen=True, array_like=True):
    """What one replica has of the quota of a principal."""

    key: str
    """`Principal.key`."""
    most: int
    """The quota."""
    running: int
    """How many there are now."""
    wanted: int
    """How many there were, or were refused, since the last report, as many as there were at once."""


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """How many a principal may have at one replica."""

    key: str
    most: int


class _Count:
    __slots__ = ("most", "refused", "renewed_at", "running", "share", "top")

    def __init__(self, most: int, share: int, now: float) -> None:
        self.most = most
        self.share = share
        self.running = 0
        self.top = 0
        self.refused = 0
        self.renewed_at = now


class HoldCount:
    """Callers pass times from one clock, in seconds. One replica alone has the whole quota, and nothing to report."""

    def __init__(self, replicas: int = 1) -> None:
        self._replicas = replicas
        self._counts: dict[str, _Count] = {}
        self._lost_at: float | None = None
        """When the Router was found to be away, if it is."""

    def __len__(self) -> int:
        return len(self._counts)

    def enter(self, key: str, most: int, now: float) -> Refused | None:
        """A call wants to run; `leave` must follow unless that is refused."""
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(most, self._first_share(most), now)
        elif count.most != most:  # the configuration was read again
            count.most, count.share = most, self._first_share(most)
        if count.running >= count.share:
            count.refused += 1
            return refused(Reason.CALLS, RETRY_SECONDS)
        count.running += 1
        count.top = max(count.top, count.running)
        return None

    def leave(self, key: str) -> None:
        """A call has ended; one that began when there was no quota was not counted."""
        count = self._counts.get(key)
        if count is None or not count.running:
            return
        count.running -= 1
        if self._replicas == 1 and not count.running:
            del self._counts[key]

    def report(self, now: float) -> tuple[Hold, ...]:
        """What to tell the Router; what nobody used for long is forgotten, and begins anew."""
        heard_at = now if self._lost_at is None else self._lost_at
        holds: list[Hold] = []
        for key, count in list(self._counts.items()):
            if not (count.top or count.refused):
                if heard_at - count.renewed_at > LEASE_SECONDS:
                    del self._counts[key]
            elif len(holds) < MAX_HOLDS:
                wanted = min(count.top + count.refused, count.most)
                holds.append(Hold(key, count.most, count.running, wanted))
                count.top, count.refused = count.running, 0
                self._counts[key] = self._counts.pop(key)  # whom there was no room for comes first in the next
        return tuple(holds)

    def renew(self, grants: Sequence[Grant], now: float) -> None:
        """Go by what the Router answered to the last report."""
        self._lost_at = None
        for grant in grants:
            count = self._counts.get(grant.key)
            if count is not None:
                count.share = grant.most
                count.renewed_at = now

    def go_on(self, now: float) -> None:
        """The last report was not answered: everything stays as it is."""
        if self._lost_at is None:
            self._lost_at = now

    def _first_share(self, most: int) -> int:
        return max(1, most // self._replicas)
