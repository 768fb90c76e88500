"""Whether a token is meant for this gateway, and which of its paths are resources that a token can be meant for.

Source: RFC 8707, section 2; 2025-11-25, basic/authorization, Canonical Server URI.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from actors.core.guard import DEFAULT_PORTS

ENDPOINT: Final = re.compile(r"(?:/servers/[A-Za-z0-9._~-]+)?/(?:mcp|sse|ws)")
"""The paths of the MCP endpoints, without a slash at the end."""

_AT: Final = re.compile(r"(?:/servers/([^/]+))?/(?:mcp|sse|messages|ws)/?")
"""The paths of all requests to them."""


def canonical(uri: str) -> str:
    """The form in which two names of one resource are equal.

    Scheme and host in lower case, no default port, no slash at the end. What is no URL of HTTP, or has a user name or
    a fragment, which a resource may not have, is left as it is.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return uri
    scheme, host = parts.scheme, parts.hostname
    if scheme not in DEFAULT_PORTS or not host or "@" in parts.netloc or "#" in uri:
        return uri
    name = f"[{host}]" if ":" in host else host
    shown_port = "" if port is None or str(port) == DEFAULT_PORTS[scheme] else f":{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{name}{shown_port}{parts.path.rstrip('/')}{query}"


def endpoint_at(path: str) -> str | None:
    """Whose endpoint a request to this path is for: a backend's, or empty for the aggregate; nothing if for none."""
    match = _AT.fullmatch(path)
    return None if match is None else match[1] or ""


class Audience:
    """Whom tokens of one issuer must be meant for.

    Where that is the gateway's public URL, those for one of its endpoints are meant for it, too: clients ask for the
    endpoint that they use.
    """

    def __init__(self, configured: str, public_url: str | None) -> None:
        self._configured = canonical(configured)
        self._is_public = public_url is not None and canonical(public_url) == self._configured

    def admits(self, named: Iterable[str]) -> bool:
        """Whether one of the audiences that a token names is ours."""
        return any(self.path_of(name) is not None for name in named)

    def endpoints(self, named: Iterable[str]) -> tuple[str, ...]:
        """The only endpoints that a token which is admitted is good for, see `endpoint_at`; none if for all there is.

        One that names the gateway itself is for everything, whatever it names besides.
        """
        paths = {self.path_of(name) for name in named} - {None}
        return () if "" in paths else tuple(sorted({endpoint_at(path or "") or "" for path in paths}))

    def path_of(self, name: str) -> str | None:
        """Where a resource is: empty for the gateway itself, else the path of an endpoint; nothing if not ours."""
        uri = canonical(name)
        if uri == self._configured:
            return ""
        rest = uri.removeprefix(self._configured)
        is_endpoint = self._is_public and rest != uri and ENDPOINT.fullmatch(rest) is not None
        return rest if is_endpoint else None
