"""What a user's browser is sent to, so that the user lets the gateway act for them at a server."""

from typing import Final

import msgspec

from actors.core.principal import ANONYMOUS

FOR_LISTS: Final = ""
"""The principal in whose name the conversation is held that reads the lists: the operator's consent, or nobody's."""


def giver_of(principal: str) -> str:
    """Whose consent the calls of a principal (`Principal.key`) need.

    Where callers are not told apart there is one user, who is the operator, too, and agrees once.
    """
    return FOR_LISTS if principal == ANONYMOUS.key else principal


class ConsentBegun(msgspec.Struct, frozen=True):
    """A page of the authorization server of one server, for one user."""

    url: str
    """What the browser opens; it carries `state`."""
    state: str
    """Sealed. It comes back beside the code, and whoever finishes must compare it with the one of the same browser."""
    issuer: str = ""
    """The authorization server, for the user to read before they go there."""

    def __repr__(self) -> str:
        """Without the URL: who has it could end what another one began."""
        return f"ConsentBegun(issuer={self.issuer!r})"
