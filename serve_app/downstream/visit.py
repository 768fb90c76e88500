"""One message of a client, with all that is known of who sent it and where it came in."""

from collections.abc import Mapping

import msgspec

from actors.core.caller import Caller
from actors.core.offer import Offer
from actors.core.principal import Principal
from serve_app.downstream.responder import Responder
from serve_app.downstream.standing import Check


class Visit(msgspec.Struct, frozen=True):
    """One message at one endpoint: who came, where, and how to answer."""

    offer: Offer
    caller: Caller
    headers: dict[str, str]
    """The `mcp-` headers, lower-case names, as `core.headers.mcp_headers` reads them; none where there is no HTTP."""
    responder: Responder
    resumable: bool = False
    """Whether the client can fetch what it missed with an event id."""
    raw: Mapping[bytes, bytes] = {}
    """All headers, lower-case names; none where there is no HTTP."""
    check: Check | None = None
    """Recognises whoever came once more; nothing where somebody else sees to that."""

    @property
    def principal(self) -> Principal:
        """Who came."""
        return self.caller.principal

    @property
    def ip(self) -> str:
        """See `Caller.ip`."""
        return self.caller.ip
