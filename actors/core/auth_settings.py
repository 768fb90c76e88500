"""The settings of who may come in: issuers of tokens, and API keys. `actors.core.settings` says how they are read."""

import re
from dataclasses import dataclass, field
from typing import ClassVar, Final

from actors.core.rules import STRICT, require, seconds, url_rule

ALGORITHMS: Final = ("HS256", "RS256", "ES256")
"""Signatures of tokens that can be checked; `none` is never one of them."""

_HASH_PATTERN: Final = r"sha256:[0-9a-f]{64}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """One issuer of bearer tokens whom we trust."""

    __pydantic_config__: ClassVar = STRICT

    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256",)
    """Of HS256, RS256, ES256."""
    key_file: str | None = None
    """A PEM public key, or the shared secret of HS256."""
    jwks_url: str | None = None
    leeway_seconds: float = 30.0
    """Tolerated difference between the issuer's clock and ours."""

    def __post_init__(self) -> None:
        shared, fetched = "HS256" in self.algorithms, self.jwks_url is not None
        known = bool(self.algorithms) and all(name in ALGORITHMS for name in self.algorithms)
        one_source = (self.key_file is None) is fetched
        require(
            (("issuer",), bool(self.issuer.strip()), "must not be empty"),
            (("audience",), bool(self.audience.strip()), "must not be empty"),
            (("algorithms",), known, f"must be one or more of {', '.join(ALGORITHMS)}"),
            # Whoever knows a public key could sign with it, if it were also taken for a shared secret.
            (("algorithms",), not shared or len(set(self.algorithms)) == 1, "must not mix HS256 with public keys"),
            (("algorithms",), not (shared and fetched), "must not list HS256: a JWKS holds public keys only"),
            ((), one_source, "needs a key_file or a jwks_url, and not both"),
            seconds("leeway_seconds", self.leeway_seconds, zero=True),
            *([] if self.jwks_url is None else [url_rule("jwks_url", self.jwks_url, instead="a key set is public")]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeySettings:
    """One API key, stored as its hash."""

    __pydantic_config__: ClassVar = STRICT

    name: str
    hash: str = field(repr=False)
    """`sha256:` and 64 hexadecimal digits in lower case."""

    def __post_init__(self) -> None:
        require(
            (("name",), bool(self.name.strip()), "must not be empty"),
            (
                ("hash",),
                bool(re.fullmatch(_HASH_PATTERN, self.hash)),
                "must be `sha256:` and 64 hexadecimal digits in lower case",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """Who may come in."""

    __pydantic_config__: ClassVar = STRICT

    issuers: tuple[IssuerSettings, ...] = ()
    api_keys: tuple[ApiKeySettings, ...] = ()
    verdict_seconds: float = 60.0
    """How long an ingress may reuse the verdict on a credential that has no expiry of its own."""

    def __post_init__(self) -> None:
        issuers = [issuer.issuer for issuer in self.issuers]
        keys = [key.name for key in self.api_keys]
        require(
            ((), bool(issuers or keys), "needs an issuer or an API key: nobody could come in"),
            (("issuers",), len(set(issuers)) == len(issuers), "must not name one issuer twice"),
            (("api_keys",), len(set(keys)) == len(keys), "must not use one name twice"),
            seconds("verdict_seconds", self.verdict_seconds),
        )
