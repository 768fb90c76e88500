"""Where a request comes from.

Behind HAProxy an ingress replica sees HAProxy only, so HAProxy says in a header whom it saw (`haproxy_keeper.py`). Any
process of the node can reach the port of the replica, so the header counts only with a secret that HAProxy and the
replicas find in their environment (`environment.py`).
"""

import hmac
from collections.abc import Mapping
from typing import Final

from actors.core.peer_address import address_behind
from actors.core.policy.networks import Networks
from actors.core.settings import ServerSettings
from serve_app.http import Scope

PEER: Final = b"x-only1mcp-peer"
"""`<secret> <address>`. HAProxy removes what clients send under this name."""

SECRET_VARIABLE: Final = "ONLY1MCP_DOOR_SECRET"  # noqa: S105 - the name of a variable
HAPROXY_VARIABLE: Final = "RAY_SERVE_ENABLE_HA_PROXY"

FORWARDED_FOR: Final = b"x-forwarded-for"
FORWARDED: Final = b"forwarded"


def peer_of(scope: Scope) -> str:
    """The address of whoever connected to this process; empty if the server does not say."""
    client = scope.get("client")
    return str(client[0]) if client else ""


class Whence:
    """Tells the address of each request, see `Caller.ip`.

    Behind an HAProxy that does not prove itself nobody knows it: what this process sees is HAProxy, or somebody who
    goes round it.
    """

    def __init__(self, server: ServerSettings, environ: Mapping[str, str]) -> None:
        self._trusted = Networks(server.trusted_proxies)
        self._behind = environ.get(HAPROXY_VARIABLE) == "1"
        self._secret = environ.get(SECRET_VARIABLE, "").encode()

    def __call__(self, scope: Scope) -> str:
        """The address that a request comes from; empty if nobody knows."""
        said: dict[bytes, list[str]] = {PEER: [], FORWARDED_FOR: [], FORWARDED: []}
        for name, value in scope["headers"]:
            if name in said:
                said[name].append(value.decode("latin-1"))
        peer = self._shown(said[PEER]) if self._behind else peer_of(scope)
        return address_behind(peer, self._trusted, said[FORWARDED_FOR], said[FORWARDED])

    def _shown(self, values: list[str]) -> str:
        """Whom HAProxy saw; empty if this is not from it."""
        if len(values) != 1 or not self._secret:
            return ""
        secret, _, address = values[0].partition(" ")
        return address if hmac.compare_digest(secret.encode("latin-1"), self._secret) else ""
