"""Where a connection of the handshake era came in, and whose it is, for as long as it is open."""

from collections.abc import Callable
from dataclasses import dataclass

from actors.core.caller import Caller
from actors.core.client import Client
from actors.core.offer import Offer
from serve_app.downstream.standing import Check


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where a connection came in, and whose it is."""

    find_offer: Callable[[], Offer | None]
    """The offer of its endpoint as it is now; nothing if there is no such server any more."""
    caller: Caller
    endpoint: str
    """The backend whose endpoint it is; empty for the aggregate."""
    check: Check | None = None
    """Recognises the caller once more."""

    @property
    def account(self) -> str:
        """See `Client.account`."""
        return Client("", self.caller.principal.key, self.endpoint).account
