"""The settings of who may come in: issuers of tokens, and API keys. `actors.core.settings` says how they are read."""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import ClassVar, Final

from actors.core.rules import STRICT, between, require, seconds, url_rule

ALGORITHMS: Final = ("HS256", "RS256", "ES256", "EdDSA")
"""Signatures of tokens that can be checked; `none` is never one of them."""

MAX_LIFE: Final = 366 * 24 * 3600.0
"""Seconds."""

_HASH_PATTERN: Final = r"sha256:[0-9a-f]{64}"

_KEYLESS: Final = "needs a key_file, a jwks_url or introspection, or an issuer that is a URL, where keys are announced"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionSettings:
    """Where an issuer tells about its opaque tokens (RFC 7662)."""

    __pydantic_config__: ClassVar = STRICT

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    always: bool = False
    """Also ask about JWTs, so that a revocation at the issuer is noticed after `cache_seconds`."""
    cache_seconds: float = 30.0

    def __post_init__(self) -> None:
        require(
            url_rule("url", self.url, instead="use client_id and client_secret"),
            (("client_id",), bool(self.client_id), "must not be empty"),
            (("client_secret",), bool(self.client_secret), "must not be empty"),
            seconds("cache_seconds", self.cache_seconds),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """One issuer of bearer tokens whom we trust."""

    __pydantic_config__: ClassVar = STRICT

    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256",)
    """Of HS256, RS256, ES256, EdDSA."""
    key_file: str | None = None
    """A PEM public key, or the shared secret of HS256."""
    jwks_url: str | None = None
    """Where its keys are; without it, `key_file` and `introspection`, the issuer's own metadata says where."""
    introspection: IntrospectionSettings | None = None
    """Where to ask about tokens that are not JWTs (RFC 7662), or about all of them."""
    groups_claim: str = "groups"
    """The claim that has a person's groups; with dots for a member of a member, as `realm_access.roles`."""
    client_claim: str = "client_id"
    """The claim that has the OAuth client (RFC 9068); `azp` is looked at, too."""
    leeway_seconds: float = 30.0
    """Tolerated difference between the issuer's clock and ours."""

    @property
    def is_discovered(self) -> bool:
        """Whether the issuer's metadata (RFC 8414, OpenID Connect Discovery) says where its keys are."""
        return self.key_file is None and self.jwks_url is None and self.introspection is None

    @property
    def is_fetched(self) -> bool:
        """Whether its keys are fetched from somewhere."""
        return self.jwks_url is not None or self.is_discovered

    def __post_init__(self) -> None:
        shared, sources = "HS256" in self.algorithms, (self.key_file is not None) + (self.jwks_url is not None)
        known = bool(self.algorithms) and all(name in ALGORITHMS for name in self.algorithms)
        require(
            (("issuer",), bool(self.issuer.strip()), "must not be empty"),
            (("audience",), bool(self.audience.strip()), "must not be empty"),
            (("algorithms",), known, f"must be one or more of {', '.join(ALGORITHMS)}"),
            # Whoever knows a public key could sign with it, if it were also taken for a shared secret.
            (("algorithms",), not shared or len(set(self.algorithms)) == 1, "must not mix HS256 with public keys"),
            (("algorithms",), not (shared and self.is_fetched), "must not list HS256: a JWKS holds public keys only"),
            ((), sources <= 1, "must not have both key_file and jwks_url"),
            seconds("leeway_seconds", self.leeway_seconds, zero=True),
            *([] if self.jwks_url is None else [url_rule("jwks_url", self.jwks_url, instead="a key set is public")]),
            ((), not self.is_discovered or _is_issuer_url(self.issuer), _KEYLESS),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeySettings:
    """One API key, stored as its hash."""

    __pydantic_config__: ClassVar = STRICT

    name: str
    hash: str = field(repr=False)
    """`sha256:` and 64 hexadecimal digits in lower case."""
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    expires: str | None = None
    """The first moment at which it is worth nothing: a date, `2027-01-31`, or a time with its zone (RFC 3339)."""

    @property
    def expires_at(self) -> float | None:
        """Unix seconds."""
        return None if self.expires is None else _moment(self.expires)

    def __post_init__(self) -> None:
        dated = self.expires is None or _moment(self.expires) is not None
        require(
            (("expires",), dated, "must be a date like 2027-01-31, or a time with its zone, in quotes"),
            (("name",), bool(self.name.strip()), "must not be empty"),
            (
                ("hash",),
                bool(re.fullmatch(_HASH_PATTERN, self.hash)),
                "must be `sha256:` and 64 hexadecimal digits in lower case",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """Tokens that the gateway issues itself, for services and for people who logged in."""

    __pydantic_config__: ClassVar = STRICT

    issuer: str = ""
    """The `iss` of these tokens; by default the gateway's public URL."""
    algorithm: str = "ES256"
    """ES256, RS256 or EdDSA."""
    access_seconds: float = 900.0
    refresh_seconds: float = 7 * 24 * 3600.0
    rotation_seconds: float = 30 * 24 * 3600.0
    """After so long tokens are signed with a new key."""
    keys_kept: int = 3
    """Keys whose tokens are accepted, the newest one included."""

    def __post_init__(self) -> None:
        require(
            (("algorithm",), self.algorithm in ("ES256", "RS256", "EdDSA"), "must be ES256, RS256 or EdDSA"),
            seconds("access_seconds", self.access_seconds),
            (("refresh_seconds",), 0 < self.refresh_seconds <= MAX_LIFE, "must be more than 0, and at most a year"),
            (("rotation_seconds",), 0 < self.rotation_seconds <= MAX_LIFE, "must be more than 0, and at most a year"),
            between("keys_kept", self.keys_kept, 1, 100),
            (
                ("rotation_seconds",),
                self.rotation_seconds * max(self.keys_kept - 1, 1) >= self.access_seconds,
                "must let a token's key be kept for as long as the token is good",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSettings:
    """An OpenID provider where people log in; the gateway then issues tokens of its own to them.

    It must have `http://127.0.0.1/callback` registered, for any port (RFC 8252, section 7.3).
    """

    __pydantic_config__: ClassVar = STRICT

    name: str
    """For `only1mcp login --provider`."""
    issuer: str
    """Where `/.well-known/openid-configuration` is found; compared with `iss`."""
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    """Nothing for a public client, as a command on many machines is."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    leeway_seconds: float = 30.0

    def __post_init__(self) -> None:
        require(
            (("name",), bool(re.fullmatch(r"[A-Za-z0-9_-]+", self.name)), "may have letters, digits, `-` and `_`"),
            url_rule("issuer", self.issuer, instead="use client_id and client_secret"),
            (("client_id",), bool(self.client_id), "must not be empty"),
            (("scopes",), "openid" in self.scopes, "must have `openid`"),
            seconds("leeway_seconds", self.leeway_seconds, zero=True),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """Who may come in."""

    __pydantic_config__: ClassVar = STRICT

    issuers: tuple[IssuerSettings, ...] = ()
    api_keys: tuple[ApiKeySettings, ...] = ()
    tokens: TokenSettings | None = None
    """Whether the gateway issues tokens, and how."""
    logins: tuple[LoginSettings, ...] = ()
    public_url: str | None = None
    """Where clients find the gateway, without a path: the audience of tokens, and in its metadata (RFC 9728)."""
    scopes: tuple[str, ...] = ()
    """What a token must have, all of it, for the MCP endpoints; the challenge asks for it. API keys need none of it."""
    verdict_seconds: float = 60.0
    """How long an ingress may reuse the verdict on a credential that has no expiry of its own."""

    def __post_init__(self) -> None:
        issuers = [issuer.issuer for issuer in self.issuers]
        keys = [key.name for key in self.api_keys]
        require(
            ((), bool(issuers or keys or self.tokens), "needs an issuer, an API key or tokens: nobody could come in"),
            (("logins",), not self.logins or self.tokens is not None, "need `tokens`, which people get after a login"),
            (("logins",), len({each.name for each in self.logins}) == len(self.logins), "must not use one name twice"),
            *(
                []
                if self.public_url is None
                else [
                    url_rule("public_url", self.public_url, instead="it is shown to everyone"),
                    (("public_url",), _is_origin(self.public_url), "must have no path, query or fragment"),
                ]
            ),
            (("issuers",), len(set(issuers)) == len(issuers), "must not name one issuer twice"),
            (("api_keys",), len(set(keys)) == len(keys), "must not use one name twice"),
            seconds("verdict_seconds", self.verdict_seconds),
        )


def _is_issuer_url(text: str) -> bool:
    """Whether an issuer is a URL that metadata can be found from (RFC 8414, section 2)."""
    _, well, _ = url_rule("issuer", text, instead="")
    return well and "?" not in text and "#" not in text


def _is_origin(url: str) -> bool:
    return url.count("/") - url.endswith("/") == 2 and "?" not in url and "#" not in url


def _moment(text: str) -> float | None:
    """The Unix seconds of a date, whose first moment in UTC is meant, or of a time with its zone."""
    with suppress(ValueError):
        if len(text) == len("2027-01-31"):
            return datetime.combine(date.fromisoformat(text), time(), UTC).timestamp()
        moment = datetime.fromisoformat(text)
        return None if moment.tzinfo is None else moment.timestamp()
    return None
