"""How much each principal has here of what quotas are about, and how much may be: this ingress replica's part.

Calls, streams and WebSockets are counted alike and apart, each under a key of its own.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from actors.core.limits.admission import Reason, Refused, refused
from actors.core.limits.lease import LEASE_SECONDS
from actors.core.principal import Principal

MAX_HOLDS: Final = 2_000
"""Principals in one report; further ones are in the next."""

RETRY_SECONDS: Final = {Reason.CALLS: 1.0, Reason.STREAMS: 5.0, Reason.WEBSOCKETS: 5.0}
"""When a refused caller may try again: nobody knows when one ends, but most calls do so sooner than a stream."""


class Hold(msgspec.Struct, frozen=True, array_like=True):
    """What one replica has of the quota of a principal."""

    key: str
    """Whose it is, and what is counted, see `key_of`."""
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

    def begin(self, key: str, most: int, now: float) -> Hold | None:
        """If nothing is known of this one yet, what to ask the Router before the first is counted."""
        if self._replicas == 1 or key in self._counts:
            return None
        self._counts[key] = _Count(most, self._first_share(most), now)
        return Hold(key, most, 0, 1)

    def enter(self, key: str, most: int, now: float, what: Reason = Reason.CALLS) -> Refused | None:
        """A principal wants one more; `leave` must follow unless that is refused."""
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(most, self._first_share(most), now)
        elif count.most != most:  # the configuration was read again
            count.most, count.share = most, self._first_share(most)
        if count.running >= count.share:
            count.refused += 1
            return refused(what, RETRY_SECONDS[what])
        count.running += 1
        count.top = max(count.top, count.running)
        return None

    def leave(self, key: str) -> None:
        """One of them has ended; one that began when there was no quota was not counted."""
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


def key_of(what: Reason, principal: Principal) -> str:
    """Under what the calls, streams or WebSockets of a principal are counted; that of calls is the shortest."""
    return principal.key if what is Reason.CALLS else f"{what.value} {principal.key}"
