"""Who a request comes from, as far as a server may know: the same for both eras."""

import msgspec

from actors.core.call import NO_CAPABILITIES
from actors.core.revisions import Era, era_of


class Client(msgspec.Struct, frozen=True, gc=False):
    """What a modern request brings along, or a session remembers."""

    revision: str
    """The one spoken on our hop to it."""
    principal: str
    """`Principal.key`."""
    endpoint: str = ""
    """The backend whose endpoint it came to; empty for the aggregate."""
    capabilities: bytes = NO_CAPABILITIES
    """A JSON object."""
    info: bytes | None = None
    """Its own `clientInfo`, a JSON object, if it said."""
    log_level: str | None = None
    """The least severe messages it wants, if any."""
    interactive: bool = False
    """It answers questions while a call runs: a handshake client that takes streams."""
    session: bytes = b""
    """The nonce of its session; empty where there is none."""

    @property
    def era(self) -> Era:
        """The era of its revision."""
        return era_of(self.revision)

    @property
    def account(self) -> str:
        """The principal at one endpoint: to whom sessions belong."""
        return f"{self.endpoint}\0{self.principal}"

    @property
    def owner(self) -> str:
        """To whom belongs what we give it to keep: worth nothing to another, elsewhere, or in another session."""
        return f"{self.session.hex()}\0{self.account}"
