"""Who has which places of each principal's quota of streams and WebSockets, as the Router keeps it.

A place is given if all that are taken, wherever, are fewer than the quota. What a replica has taken is what it told
last and what it was given since; it may be fewer by now, never more. So there are never too many, unless a Router that
has just begun is asked before it was told, or a replica cannot tell for `LEASE_SECONDS`.
"""

from collections import OrderedDict

from actors.core.limits.hold_book import MAX_KEYS
from actors.core.limits.lease import LEASE_SECONDS
from actors.core.limits.place_count import Places, Want


class _Taken:
    """By one replica."""

    __slots__ = ("at", "given", "number", "told")

    def __init__(self, now: float) -> None:
        self.at = now
        self.number = 0
        """Of what it told last."""
        self.told = 0
        self.given: list[int] = []
        """The numbers of the questions that were answered with yes and that it did not know of then."""

    @property
    def places(self) -> int:
        return self.told + len(self.given)


class PlaceBook:
    """Callers pass times from one clock, in seconds, that never goes back."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._taken: OrderedDict[str, dict[str, _Taken]] = OrderedDict()
        """By principal, the one unheard of for longest first, and by replica."""

    def __len__(self) -> int:
        return len(self._taken)

    def give(self, source: str, want: Want, now: float) -> bool:
        """Answer a replica that asks for one more place."""
        taken = self._of(want.key, now)
        if sum(each.places for each in taken.values()) >= want.most:
            return False
        mine = taken.setdefault(source, _Taken(now))
        mine.at = now
        mine.given.append(want.number)
        return True

    def tell(self, source: str, places: Places, now: float) -> None:
        """Take what a replica tells; what it said before is known better by now."""
        taken = self._of(places.key, now)
        mine = taken.setdefault(source, _Taken(now))
        if places.number > mine.number:
            mine.at, mine.number, mine.told = now, places.number, places.taken
            mine.given = [number for number in mine.given if number > places.number]
        if not mine.places:
            del taken[source]
        if not taken:
            del self._taken[places.key]

    def _of(self, key: str, now: float) -> dict[str, _Taken]:
        taken = self._taken.setdefault(key, {})
        self._taken.move_to_end(key)
        if len(self._taken) > self._max_keys:
            self._taken.popitem(last=False)
        for source in [source for source, each in taken.items() if now - each.at > LEASE_SECONDS]:
            del taken[source]
        return taken
