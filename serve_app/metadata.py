"""What the gateway tells about itself as a protected resource (RFC 9728), to anybody.

Nothing here depends on who asks, nor on which servers there are.
"""

from typing import Final

from actors.core import jsonrpc
from actors.core.audience import ENDPOINT
from actors.core.auth_settings import AuthSettings
from actors.core.identity import GATEWAY_INFO
from actors.core.proof import ALGORITHMS
from serve_app.challenges import WELL_KNOWN, authorization_servers
from serve_app.http import JSON, Scope, Send, refuse, respond
from serve_app.own_url import OwnUrl

VERBS: Final = ("GET", "HEAD")

HEADERS: Final = (JSON, (b"cache-control", b"no-store"))
"""Without a public URL the page repeats the `Host` of whoever asked, which is nobody else's."""


class Metadata:
    """Answers requests for the metadata of the gateway, and of each of its endpoints."""

    def __init__(self, auth: AuthSettings, own_url: OwnUrl) -> None:
        self._own_url = own_url
        self._servers = authorization_servers(auth)
        self._scopes = auth.scopes

    def knows(self, path: str) -> bool:
        """Whether there is a page at this path; for each endpoint that a gateway could have, or for none."""
        if not self._servers or not path.startswith(WELL_KNOWN):
            return False
        rest = path.removeprefix(WELL_KNOWN).removesuffix("/")
        return not rest or ENDPOINT.fullmatch(rest) is not None

    async def serve(self, scope: Scope, send: Send) -> None:
        """Answer a request for a page that there is."""
        origin, method = self._own_url.origin(scope), scope["method"]
        if method not in VERBS:
            await refuse(send, 405, "this is for GET", [(b"allow", ", ".join(VERBS).encode())])
        elif origin is None:
            await refuse(send, 400, "a Host is needed")
        else:
            path: str = scope["path"]
            page = self._page(origin + path.removeprefix(WELL_KNOWN).removesuffix("/"))
            await respond(send, 200, b"" if method == "HEAD" else jsonrpc.encode(page), HEADERS)

    def _page(self, resource: str) -> dict[str, object]:
        page: dict[str, object] = {
            "resource": resource,
            "resource_name": GATEWAY_INFO["name"],
            "authorization_servers": self._servers,
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": list(ALGORITHMS),
        }
        return page | ({"scopes_supported": list(self._scopes)} if self._scopes else {})
