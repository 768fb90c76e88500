"""Who sends a request, and from where."""

import msgspec

from actors.core.principal import Principal


class Caller(msgspec.Struct, frozen=True):
    """A principal at an address."""

    principal: Principal
    ip: str = ""
    """The address that the request came from, behind trusted proxies the one they name; empty if it is not known."""
