"""Where servers say who gives tokens for them, and what they say: RFC 9728 and RFC 8414."""

from typing import Final
from urllib.parse import urlsplit

import msgspec

from actors.core.url_guard import origin_of

_RESOURCE: Final = "/.well-known/oauth-protected-resource"
_SERVER: Final = "/.well-known/oauth-authorization-server"
_OPENID: Final = "/.well-known/openid-configuration"


class ResourceMetadata(msgspec.Struct, frozen=True):
    """What an MCP server says of itself (RFC 9728, section 2)."""

    resource: str
    authorization_servers: tuple[str, ...] = ()
    scopes_supported: tuple[str, ...] = ()


class ServerMetadata(msgspec.Struct, frozen=True):
    """What an authorization server says of itself (RFC 8414, section 2)."""

    issuer: str
    token_endpoint: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    code_challenge_methods_supported: tuple[str, ...] | None = None
    scopes_supported: tuple[str, ...] | None = None
    client_id_metadata_document_supported: bool = False
    """Whether a client may be known by the URL of a document about itself."""
    authorization_response_iss_parameter_supported: bool = False
    """Whether the answer to an authorization request names the issuer (RFC 9207)."""


_resource_decoder: Final = msgspec.json.Decoder(ResourceMetadata)
_server_decoder: Final = msgspec.json.Decoder(ServerMetadata)


def resource_urls(server_url: str) -> tuple[str, ...]:
    """Where the metadata of a server may be, if it has not said (2025-11-25, basic/authorization)."""
    base, path = _split(server_url)
    return tuple(dict.fromkeys((f"{base}{_RESOURCE}{path}", f"{base}{_RESOURCE}")))


def server_urls(issuer: str) -> tuple[str, ...]:
    """Where the metadata of an authorization server may be (2025-11-25, basic/authorization)."""
    base, path = _split(issuer)
    if not path:
        return (f"{base}{_SERVER}", f"{base}{_OPENID}")
    return (f"{base}{_SERVER}{path}", f"{base}{_OPENID}{path}", f"{base}{path}{_OPENID}")


def read_resource(body: bytes, server_url: str) -> ResourceMetadata:
    """What a server says of itself.

    Raises:
        ValueError: it is not of that form, or about something else (RFC 9728, 3.3).
    """
    try:
        found = _resource_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("what it says of itself is not of the form of RFC 9728") from None
    if not covers(found.resource, server_url):
        raise ValueError("what it says of itself is about another resource")
    return found


def read_server(body: bytes, issuer: str) -> ServerMetadata:
    """What an authorization server says of itself.

    Raises:
        ValueError: it is not of that form, or of another issuer (RFC 8414, 3.3).
    """
    try:
        found = _server_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("the metadata of its authorization server is not of the form of RFC 8414") from None
    if found.issuer != issuer:
        raise ValueError("the metadata of its authorization server is of another issuer")
    return found


def covers(resource: str, server_url: str) -> bool:
    """Whether a resource is a server, or what it stands in: the same origin, and its path or one above."""
    origin = origin_of(resource)
    if origin is None or origin != origin_of(server_url) or urlsplit(resource).fragment:
        return False
    above, path = (urlsplit(url).path.rstrip("/") for url in (resource, server_url))
    return path == above or path.startswith(f"{above}/")


def canonical_resource(server_url: str) -> str:
    """How a server is named as the resource of a token (RFC 8707): its URL without query and slash at the end."""
    base, path = _split(server_url)
    return f"{base}{path}"


def _split(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}", parts.path.rstrip("/")
