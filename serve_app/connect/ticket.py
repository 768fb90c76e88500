"""The ticket in the URL that a user is asked to open: who was asked, and to which server they shall connect.

It is sealed, so the URL says nothing of the user, and nobody can make one for another user. It opens nothing by itself:
whoever comes with it has to be the one that it names.
"""

import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec

from actors.core.principal import Kind, Principal, parts_of
from actors.core.timed_seal import TimedSeal

TICKET_SECONDS: Final = 600.0
"""How long a ticket is good, and how long each step after it may take."""


MAX_TRAITS_BYTES: Final = 1500
"""Of what a ticket has of its holder: browsers keep cookies of 4096 bytes, and each step's has a ticket in it."""


class Traits(msgspec.Struct, frozen=True, array_like=True):
    """What a policy may go by, besides the identity; each as in `Principal`."""

    client: str = ""
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    acr: str = ""
    auth_time: float | None = None
    complete: bool = True
    """Whether nothing was too long to be here."""


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """The elicitation by which a client was asked to send its user here: it is told when they are done."""

    id: str
    session: bytes
    """The nonce of its session."""
    endpoint: str
    """See `Client.endpoint`."""


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """Who shall connect to what."""

    principal: str
    """See `Principal.key`."""
    backend: str
    expires: float
    """In Unix seconds, because another ingress replica compares it."""
    traits: Traits = Traits()
    asked: Asked | None = None
    """Nothing where the client hears of nothing that it did not ask for."""

    @property
    def holder(self) -> Principal:
        """Who it is for, as they were when they called; without roles, which the policy gives that is in force."""
        kind, issuer, subject = parts_of(self.principal)
        known = self.traits
        return Principal(
            subject,
            issuer,
            Kind(kind),
            scopes=known.scopes,
            client=known.client,
            groups=known.groups,
            amr=known.amr,
            acr=known.acr,
            auth_time=known.auth_time,
        )


class Tickets:
    """Gives them out and reads them, at any ingress replica that knows the secret."""

    def __init__(
        self,
        secret: bytes,
        wall_clock: Callable[[], float] = time.time,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._seal = TimedSeal(secret, "connect ticket", wall_clock, token_bytes)

    def issue(self, principal: Principal, backend: str, asked: Asked | None = None) -> str:
        """A ticket for this principal."""
        ticket = Ticket(principal.key, backend, self._seal.until(TICKET_SECONDS), traits_of(principal), asked)
        return self._seal.close(ticket, backend)

    def read(self, text: str, backend: str) -> Ticket | None:
        """The ticket of a text; nothing if it was not given out here, or for another backend, or its time is over."""
        return self._seal.open(text, backend, Ticket)


def traits_of(principal: Principal) -> Traits:
    """Those of a principal, without groups and scopes if they are too many to be carried."""
    acr, auth_time = principal.acr, principal.auth_time
    known = Traits(principal.client, principal.scopes, principal.groups, principal.amr, acr, auth_time)
    some = Traits(principal.client, (), (), principal.amr, acr, auth_time, complete=False)
    fitting = (each for each in (known, some) if len(msgspec.msgpack.encode(each)) <= MAX_TRAITS_BYTES)
    return next(fitting, Traits(complete=False))
