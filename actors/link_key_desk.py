"""The Router's desk for the keys of links: a new one is told to Backends first, and to those who dial them then."""

from collections.abc import Collection
from typing import Final

from actors.core.link_keys import LinkKeys
from actors.core.membership import ReplicaKey

SPREAD_SECONDS: Final = 20.0
"""How long ingress replicas are not told of a key that a replica has not fetched: it beats every five seconds, and one
that gives no sign of life must not hold up the others. It is dialled with the key before."""


class LinkKeyDesk:
    """Callers pass `now` from one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self.keys = LinkKeys()
        """All that there are; for those who accept."""
        self.published: LinkKeys | None = None
        """For those who dial; nothing if this Router was told none."""
        self._told_at = 0.0
        self._held: dict[ReplicaKey, int] = {}
        """The newest that each replica has."""

    def tell(self, keys: LinkKeys, now: float) -> bool:
        """Take a newer ring; whether there is something to publish at once.

        A first key has nobody to be kept from, and those before the newest were published by the Router before this.
        """
        if keys.number <= self.keys.number:
            return False
        self.keys, self._told_at = keys, now
        self.published = keys.before if keys.before.keys else keys
        return True

    def hear(self, key: ReplicaKey, number: int) -> None:
        """A replica says which key is the newest that it has."""
        self._held[key] = number

    def forget(self, key: ReplicaKey) -> None:
        """A replica has ended."""
        self._held.pop(key, None)

    def look(self, replicas: Collection[ReplicaKey], now: float) -> bool:
        """Publish the newest key if all of these replicas have it, or had time enough; whether that is news."""
        if self.published is None or self.published.number == self.keys.number:
            return False
        spread = all(self._held.get(key, 0) >= self.keys.number for key in replicas)
        if not spread and now - self._told_at < SPREAD_SECONDS:
            return False
        self.published = self.keys
        return True
