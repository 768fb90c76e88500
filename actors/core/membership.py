"""The backends which exist, replica by replica, and what each last said of itself."""

from enum import StrEnum

import msgspec

from actors.core.listing import Facts, Listing


class ReplicaState(StrEnum):
    """Where a replica stands."""

    STARTING = "starting"
    UP = "up"
    DOWN = "down"
    """Its server is not there; it is tried again."""
    DRAINING = "draining"
    """It takes no new calls and ends when those that run are over."""


class ReplicaKey(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Names a replica of a backend, and its actor."""

    backend: str
    index: int

    def __str__(self) -> str:
        return f"{self.backend}:{self.index}"


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """What the Router answers a sign of life."""

    known: bool
    """Whether it knows what the replica said last of itself; if not, it shall say it again."""
    link_key: int = 0
    """The number of the newest link key that there is."""


class Status(msgspec.Struct, frozen=True, array_like=True):
    """What a Backend tells the Router on every change."""

    key: ReplicaKey
    epoch: str
    """Another one for each life of the actor."""
    sequence: int
    """Grows within an epoch, so that an old report never undoes a newer one."""
    node: str
    address: str
    """Where its links are accepted on the same node: `unix:<path>`."""
    remote_address: str | None
    """Where they are accepted from other nodes, `tcp:<host>:<port>`, if there can be any."""
    state: ReplicaState
    detail: str = ""
    """Why it is not up, for people; never a secret."""
    restarts: int = 0
    """Servers started after the first, in this life."""
    facts: Facts | None = None
    listing: Listing | None = None
    weight: float = 1.0
    """Its share of the calls, against the other replicas'."""
    zone: str = ""
    """Where its node is, if the cluster says so."""
