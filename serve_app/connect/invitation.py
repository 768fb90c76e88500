"""Where a user is asked to go, so that the gateway may act for them at a server."""

from collections.abc import Mapping
from typing import Final

from actors.core.principal import Principal
from serve_app.connect.ticket import Asked, Tickets
from serve_app.own_url import OwnUrl

PREFIX: Final = "/connect/"


class Invitations:
    """Makes the URLs that clients are asked to have their users open."""

    def __init__(self, tickets: Tickets, own_url: OwnUrl, origin: str) -> None:
        """`origin` is that of the gateway for requests that do not say where they found it."""
        self._tickets = tickets
        self._own_url = own_url
        self._origin = origin

    def url(
        self, principal: Principal, backend: str, headers: Mapping[bytes, bytes], asked: Asked | None = None
    ) -> str:
        """The page for one user; `headers` are those of their request."""
        origin = self._own_url.origin({"headers": headers.items()}) or self._origin
        return f"{origin}{PREFIX}{backend}?ticket={self._tickets.issue(principal, backend, asked)}"
