"""A call: one attempt at one backend, as it travels on the bus."""

from typing import Final

import msgspec

NO_CAPABILITIES: Final = b"{}"


class Call(msgspec.Struct, frozen=True, array_like=True):
    """One request for one backend, in the neutral form between the eras.

    The parameters carry upstream names and no `_meta`; what of `_meta` belongs to one hop (revision, client,
    progress token, log level) is in fields of its own, the rest in `meta`.
    """

    method: str
    params: bytes
    """A JSON object, without `_meta`."""
    time_left: float
    """Seconds the caller will still wait; relative, because hosts do not share a clock."""
    name: str | None = None
    """The upstream tool or prompt name, or the URI, that `params` speaks of."""
    meta: bytes = b"{}"
    """A JSON object: the caller's `_meta` but for what belongs to one hop."""
    capabilities: bytes = NO_CAPABILITIES
    """The client's capabilities for this request, a JSON object."""
    client_info: bytes | None = None
    """The client's own `clientInfo`, a JSON object, if it said."""
    wants_progress: bool = False
    log_level: str | None = None
    origin: bytes | None = None
    """Names the downstream request among all of them, so that a cancellation finds it from any ingress replica."""
    interactive: bool = False
    """The client answers questions while the call runs; else a modern server's questions are handed on to it."""
    principal: str = ""
    """`Principal.key` of whoever asks."""
    session: bytes = b""
    """The nonce of the downstream session; empty where there is none."""
    ticket: bytes = b""
    """The nonce of the sealed state that this call redeems: a replica takes each but once."""
    binding: int = 0
    """The number of the binding that leads the call to its replica, see `Binding.number`; 0 where there is none."""
