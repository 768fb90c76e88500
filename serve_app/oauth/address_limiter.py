"""A small fixed limit for what needs no credential: so many requests from each address, and no more."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from actors.core.limit_settings import RateSettings
from actors.core.limits.token_bucket import TokenBucket

RATE: Final = RateSettings(name="oauth", calls=10, seconds=1.0, burst=50)
"""A client refreshes every quarter of an hour; many of them may share the address of a proxy."""

MAX_ADDRESSES: Final = 10_000
"""Remembered at a time; the one longest unseen is forgotten first."""


class AddressLimiter:
    """Of one ingress replica. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float], rate: RateSettings = RATE) -> None:
        self._clock = clock
        self._rate = rate
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, address: str) -> float:
        """Take one request; how many seconds it comes too early, and nothing is taken, or 0."""
        now = self._clock()
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = TokenBucket(self._rate, now)
            if len(self._buckets) > MAX_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(address)
        wait = bucket.ask(now)
        if not wait:
            bucket.take()
        return wait
