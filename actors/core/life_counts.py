"""Counts that each replica keeps of its own life, added up over all its lives."""

from itertools import zip_longest

from actors.core.membership import ReplicaKey


class LifeCounts:
    """Of every replica, so that what Metrics shows never falls because a process began anew."""

    def __init__(self) -> None:
        self._now: dict[ReplicaKey, tuple[int, ...]] = {}
        self._before: dict[ReplicaKey, tuple[int, ...]] = {}

    def tell(self, key: ReplicaKey, counts: tuple[int, ...]) -> None:
        """What a replica has counted in this life."""
        self._now[key] = counts

    def begin(self, key: ReplicaKey) -> None:
        """Another life of it begins."""
        self._before[key] = self.total(key)
        self._now.pop(key, None)

    def total(self, key: ReplicaKey) -> tuple[int, ...]:
        """Of all its lives; empty if it never told any."""
        lives = self._before.get(key, ()), self._now.get(key, ())
        return tuple(map(sum, zip_longest(*lives, fillvalue=0)))

    def forget(self, key: ReplicaKey) -> None:
        """It has ended, and will not come again."""
        self._now.pop(key, None)
        self._before.pop(key, None)
