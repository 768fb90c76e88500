"""Sessions that ended a short while ago, so that late news of them does not bring them back."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

KEEP_SECONDS: Final = 600.0
"""Longer than anyone goes on without the Router and then still tells what it knew."""

MAX_ENDS: Final = 20_000
"""About two megabytes."""


class RecentEnds:
    """Remembers the nonces of ended sessions for a while; of too many, the latest.

    Callers pass times from one clock, in seconds.
    """

    def __init__(self, max_ends: int = MAX_ENDS) -> None:
        self._max_ends = max_ends
        self._ended_at: OrderedDict[bytes, float] = OrderedDict()

    def __contains__(self, nonce: bytes) -> bool:
        return nonce in self._ended_at

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._ended_at)

    def __len__(self) -> int:
        return len(self._ended_at)

    def add(self, nonce: bytes, now: float) -> None:
        """Remember an end; once again begins anew."""
        self._ended_at[nonce] = now
        self._ended_at.move_to_end(nonce)
        if len(self._ended_at) > self._max_ends:
            self._ended_at.popitem(last=False)

    def forget_old(self, now: float) -> None:
        """Let go of what ended long ago."""
        while self._ended_at and next(iter(self._ended_at.values())) <= now - KEEP_SECONDS:
            self._ended_at.popitem(last=False)
