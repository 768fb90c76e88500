"""Finds the key set of an issuer of whom nothing but the name is configured.

Source: RFC 8414, sections 3 and 5; OpenID Connect Discovery 1.0, section 4; 2025-11-25, basic/authorization,
Authorization Server Metadata Discovery, for the order of the places.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

from actors.core.rules import url_rule

OAUTH: Final = "/.well-known/oauth-authorization-server"
OPENID: Final = "/.well-known/openid-configuration"


class ServerMetadata(msgspec.Struct, frozen=True):
    """The little of an authorization server's metadata that is needed here."""

    issuer: str
    jwks_uri: str


class Discovery:
    """Fetches the key set of one issuer, which may move at any time."""

    def __init__(self, issuer: str, fetch: Callable[[str], Awaitable[bytes]]) -> None:
        """`issuer` is an URL; `fetch` raises `OSError` if it cannot."""
        self._issuer = issuer
        self._fetch = fetch
        self._places = tuple(places_of(issuer))

    async def fetch_keys(self, issuer: str) -> bytes:
        """The key set, from where the metadata of `issuer` says now.

        Raises:
            OSError: nothing could be fetched; the message repeats no URL.
            ValueError: the metadata is another issuer's, or malformed, or leads away from TLS.
        """
        return await self._fetch((await self._metadata()).jwks_uri)

    async def _metadata(self) -> ServerMetadata:
        """Ask at each place until one has it; that one is asked first from then on."""
        failures: list[OSError | ValueError] = []
        for place in self._places:
            try:
                found = read_metadata(await self._fetch(place), self._issuer)
            except (OSError, ValueError) as error:  # a page for people, perhaps, where others have nothing
                failures.append(error)
                continue
            self._places = (place, *(each for each in self._places if each != place))
            return found
        raise failures[0]


def places_of(issuer: str) -> Iterator[str]:
    """Where the metadata of an issuer may be."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.removesuffix("/")
    yield f"{origin}{OAUTH}{path}"
    yield f"{origin}{OPENID}{path}"
    if path:
        yield f"{origin}{path}{OPENID}"


def read_metadata(document: bytes, issuer: str) -> ServerMetadata:
    """Read the metadata of an issuer.

    Raises:
        ValueError: it is malformed, or that of another issuer, whose keys would then sign for this one; or its keys
            are not behind TLS although the issuer is.
    """
    try:
        found = msgspec.json.decode(document, type=ServerMetadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("not the metadata of an authorization server") from None
    if found.issuer != issuer:
        raise ValueError("the metadata is that of another issuer")
    schemes = ("https",) if issuer.startswith("https:") else ("http", "https")
    _, well, _ = url_rule("jwks_uri", found.jwks_uri, instead="", schemes=schemes)
    if not well:
        raise ValueError("the metadata leads to keys at a URL that is not taken")
    return found
