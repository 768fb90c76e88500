"""The ticket in the URL that a user is asked to open: who was asked, and to which server they shall connect.

It is sealed, so the URL says nothing of the user, and nobody can make one for another user. It opens nothing by itself:
whoever comes with it has to be the one that it names.
"""

import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec

from actors.core.seal import NONCE_BYTES, Seal

TICKET_SECONDS: Final = 600.0
"""How long a ticket is good, and how long each step after it may take."""


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """Who shall connect to what."""

    principal: str
    """See `Principal.key`."""
    backend: str
    expires: float
    """In Unix seconds, because another ingress replica compares it."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Ticket)


class Tickets:
    """Gives them out and reads them, at any ingress replica that knows the secret."""

    def __init__(
        self,
        secret: bytes,
        wall_clock: Callable[[], float] = time.time,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._seal = Seal(secret, "connect ticket")
        self._wall_clock = wall_clock
        self._token_bytes = token_bytes

    def issue(self, principal: str, backend: str) -> str:
        """A ticket for the principal of this key."""
        ticket = Ticket(principal, backend, self._wall_clock() + TICKET_SECONDS)
        return self._seal.close(_encode(ticket), backend, self._token_bytes(NONCE_BYTES))

    def read(self, text: str, backend: str) -> Ticket | None:
        """The ticket of a text; nothing if it was not given out here, or for another backend, or its time is over."""
        opened = self._seal.open(text, backend)
        if opened is None:
            return None
        ticket = _decoder.decode(opened[0])
        return ticket if self._wall_clock() < ticket.expires else None
