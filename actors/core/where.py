"""Where an exchange is: what the ingress seals into what clients carry, and what leads back to it."""

import msgspec

from actors.core.membership import ReplicaKey


class Where(msgspec.Struct, frozen=True, array_like=True):
    """One exchange, and how far it was read."""

    replica: ReplicaKey
    epoch: str
    """The life of the replica that holds the exchange; another life knows nothing of it."""
    exchange_id: bytes
    after: int
    """The number of the last event that was read, 0 before the first."""
