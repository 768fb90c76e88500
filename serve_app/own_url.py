"""Where a client found the gateway."""

import re
from typing import Final

from actors.core.audience import canonical
from serve_app.http import Scope

_AUTHORITY: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class OwnUrl:
    """The gateway's URLs as clients see them: below the public one, else as the request's own `Host` has it.

    `Host` was checked before as far as `server.allowed_hosts` says; whoever admits any gets back what they sent.
    """

    def __init__(self, public_url: str | None, *, encrypted: bool = False) -> None:
        """`encrypted` says that clients come with TLS, which ends before this process."""
        self._encrypted = encrypted
        self._public = None if public_url is None else canonical(public_url)

    def origin(self, scope: Scope) -> str | None:
        """Without a path; nothing if nobody says where the gateway is."""
        if self._public is not None:
            return self._public
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or _AUTHORITY.fullmatch(hosts[0]) is None:
            return None
        scheme = "https" if self._encrypted else _SCHEMES.get(scope.get("scheme", "http"), "http")
        return canonical(f"{scheme}://{hosts[0].decode()}")

    def of(self, scope: Scope) -> str | None:
        """That of a request, without the query; nothing if nobody says where the gateway is."""
        origin = self.origin(scope)
        return None if origin is None else f"{origin}{scope['path']}"
