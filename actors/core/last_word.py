"""What a replica last said of its load, and what that means some time later."""

from typing import Final

from actors.core.breaker import State
from actors.core.load import Load

FRESH_SECONDS: Final = 1.0
"""How long it counts what others have there: later nobody knows, and a replica must not be shunned for old news."""


class LastWord:
    """Kept by an ingress for each link. Callers pass `now` from a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._load: Load | None = None
        self._others = 0
        self._others_until = 0.0
        self._refuses_until = 0.0

    def hear(self, load: Load, own: int, now: float) -> None:
        """Take note of it, unless it is the one heard before; `own` calls in flight there are ours.

        Seconds in it are relative, and count from now.
        """
        if load is self._load:
            return
        self._load = load
        self._others = max(0, load.in_flight - own)
        self._others_until = now + FRESH_SECONDS
        self._refuses_until = now + load.retry_after if load.breaker is State.OPEN else now

    def forget_refusal(self) -> None:
        """Something has changed there: somebody may have closed its breaker by hand, so that a call may try it."""
        self._refuses_until = 0.0

    def is_refusing(self, now: float) -> bool:
        """Whether its breaker admits no call, not even a probe."""
        return now < self._refuses_until

    def others(self, now: float) -> int:
        """Calls in flight there that are not ours."""
        return self._others if now < self._others_until else 0
