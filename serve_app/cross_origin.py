"""What browsers are told about pages of other origins (CORS). Which may come in at all, the guard has decided."""

import re
from collections.abc import Mapping
from typing import Final

from serve_app.http import Headers

OPEN_TO_PAGES: Final = re.compile(
    r"/mcp/?|/servers/[^/]+/mcp/?|(?:/servers/[^/]+)?/(?:sse|messages)/?|/\.well-known/.*"
)
"""Paths that pages may use. Whether there is such a server makes no difference, so nobody learns it here."""

EXPOSED: Final = (
    b"Mcp-Session-Id, Mcp-Protocol-Version, WWW-Authenticate, DPoP-Nonce, Retry-After, RateLimit, RateLimit-Policy"
)
"""Fields of answers that a page may read besides the few that it always may."""

PREFLIGHT_SECONDS: Final = 600
"""How long a browser remembers what it was told."""

_PERMISSION: Final = (
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    (b"access-control-allow-headers", b"*, Authorization"),  # the star does not stand for that one (Fetch, CORS)
    (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
)


def told_to_pages(path: str, origin: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
    """The fields of an answer to a request from a page of an origin that may come in; none if it is from no page.

    Never with credentials: a page has to send its token itself, and a browser adds nothing of its own.
    """
    if origin is None or OPEN_TO_PAGES.fullmatch(path) is None:
        return ()
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    )


def preflight(method: str, path: str, found: Mapping[bytes, bytes]) -> Headers | None:
    """The answer to a browser that asks whether a page may send a request; nothing if this is no such question.

    `found` are the headers, as `header_map` makes them. Browsers send no credential with it.
    """
    asked = method == "OPTIONS" and b"origin" in found and b"access-control-request-method" in found
    return _PERMISSION if asked and OPEN_TO_PAGES.fullmatch(path) else None
