"""What an OpenID provider says of itself (OpenID Connect Discovery 1.0, section 3)."""

from typing import Final

import msgspec

from actors.core.rules import url_rule

OPENID: Final = "/.well-known/openid-configuration"


class ProviderMetadata(msgspec.Struct, frozen=True):
    """The part that a login needs."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    code_challenge_methods_supported: tuple[str, ...] | None = None
    authorization_response_iss_parameter_supported: bool = False
    """Whether the answer to an authorization request names the issuer (RFC 9207)."""


def metadata_url(issuer: str) -> str:
    """Where a provider says it."""
    return issuer.removesuffix("/") + OPENID


def read_provider(document: bytes, issuer: str) -> ProviderMetadata:
    """Read what a provider says.

    Raises:
        ValueError: it is malformed, or of another issuer; or it leads away from TLS although the issuer has it; or
            the provider has proof keys for codes (RFC 7636), but not S256.
    """
    try:
        found = msgspec.json.decode(document, type=ProviderMetadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("not the metadata of an OpenID provider") from None
    if found.issuer != issuer:
        raise ValueError("the metadata is that of another issuer")
    schemes = ("https",) if issuer.startswith("https:") else ("http", "https")
    for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
        _, well, _ = url_rule("url", url, instead="", schemes=schemes)
        if not well or "#" in url:
            raise ValueError("the metadata leads to a URL that is not taken")
    methods = found.code_challenge_methods_supported
    if methods is not None and "S256" not in methods:
        raise ValueError("the provider has no proof keys for codes with S256")
    return found
