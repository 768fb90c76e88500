"""What a replica says of itself with every outcome, so that balancers know without asking."""

import msgspec

from actors.core.breaker import State


class Load(msgspec.Struct, frozen=True, array_like=True):
    """The state of one replica at the moment it sent an outcome."""

    in_flight: int = 0
    """Calls that are not over: those the server is at work on, and those that wait for room."""
    breaker: State = State.CLOSED
    retry_after: float = 0.0
    """Seconds until an open breaker admits a probe."""
    waiting: int = 0
    """Those of `in_flight` that wait for room."""
    transitions: tuple[int, ...] = ()
    """See `Breaker.transitions`."""
