"""What a user's browser is sent to, so that the user lets the gateway act for them at a server."""

import msgspec


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
