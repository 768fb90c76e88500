"""Fills evenly up to its size; each call takes one from it."""

from typing import Final

from actors.core.limit_settings import RateSettings

ENOUGH: Final = 1.0 - 1e-6
"""Of room for a call: sums of floats may miss one by a little."""


class TokenBucket:
    """See `Allowance`. Callers pass times from one clock, in seconds, that never goes back."""

    __slots__ = ("_at", "_level", "_size", "growth_rate")

    def __init__(self, rate: RateSettings, now: float) -> None:
        self.growth_rate = rate.calls / rate.seconds
        self._size = float(rate.calls if rate.burst is None else rate.burst)
        self._level = self._size
        self._at = now

    def ask(self, now: float) -> float:
        """See `Allowance.ask`."""
        level = self._level + (now - self._at) * self.growth_rate
        if level > self._size:
            level = self._size
        self._level = level
        self._at = now
        return 0.0 if level >= ENOUGH else (1.0 - level) / self.growth_rate

    def take(self) -> float:
        """See `Allowance.take`."""
        self._level -= 1.0
        return self._level

    def reset(self, now: float) -> float:
        """See `Allowance.reset`."""
        return max(0.0, (self._size - self._level) / self.growth_rate - (now - self._at))

    def room(self, now: float) -> float:
        """How many calls may be made at the time of the last `settle`; negative if too many were."""
        return self._level

    def wait(self, now: float, room: float) -> float:
        """How many seconds until there is room for one call; `room` is what there is now."""
        return 0.0 if room >= ENOUGH else (1.0 - room) / self.growth_rate

    def growth(self, now: float, ahead: float) -> float:
        """How many calls a second become possible in the seconds to come."""
        return self.growth_rate

    def start_from(self, room: float) -> None:
        """Begin with so much room, as somebody remembers it."""
        self._level = min(self._size, room)

    def settle(self, now: float, *, spent: float, unseen: float, lag: float) -> None:
        """Take calls that were made elsewhere within the last `lag` seconds.

        `unseen` were probably made as well, and will be told later. What has been made while the bucket was filling
        did not overflow it, so those calls make room for what came in meanwhile, and for nothing that came before.
        """
        elapsed = now - self._at
        size, level = self._size + unseen, self._level
        if elapsed > lag:
            level = min(size, level + (elapsed - lag) * self.growth_rate)
        self._level = min(size + spent, level + min(elapsed, lag) * self.growth_rate) - spent
        self._at = now
