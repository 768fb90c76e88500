"""What a rate limit gives to one of those it counts apart, by either way of counting."""

from typing import Protocol

from actors.core.limit_settings import RateSettings, Window
from actors.core.limits.sliding_window import SlidingWindow
from actors.core.limits.token_bucket import TokenBucket

Gauge = TokenBucket | SlidingWindow
"""A whole allowance, counted by one who sees every call or hears of it."""


class Allowance(Protocol):
    """Calls that may still be made. Times are from one clock, in seconds."""

    def ask(self, now: float) -> float:
        """How many seconds until one more call may be made: 0 if it may now. Takes nothing."""

    def take(self) -> float:
        """One call is made, at the time of the last `ask`, which must have allowed it.

        Gives how many more may be made now, in the whole gateway as far as is known.
        """

    def reset(self, now: float) -> float:
        """How many seconds until everything may be used again, if no more calls are made."""


def gauge_of(rate: RateSettings, now: float) -> Gauge:
    """A fresh allowance of this limit."""
    return TokenBucket(rate, now) if rate.window is Window.TOKEN_BUCKET else SlidingWindow(rate, now)
