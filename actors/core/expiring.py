"""A bounded map whose entries expire; when it is full, the entry that was not read for longest makes room."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """Remembers values until a time given with each.

    Callers pass times from one clock, in seconds. An expired entry is never returned; it stays in memory until it is
    asked for or makes room, so `len` counts it.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget them all."""
        self._entries.clear()

    def get(self, key: K, now: float) -> V | None:
        """The value, if there is one and its time is not over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= now:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def drop(self, key: K) -> None:
        """Forget the value of that key, if there is one."""
        self._entries.pop(key, None)

    def discard(self, is_meant: Callable[[V], bool]) -> int:
        """Forget all values that are meant; how many these were."""
        meant = [key for key, (_, value) in self._entries.items() if is_meant(value)]
        for key in meant:
            del self._entries[key]
        return len(meant)

    def put(self, key: K, value: V, *, until: float) -> None:
        """Remember a value, in place of an older one of that key."""
        self._entries[key] = (until, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
