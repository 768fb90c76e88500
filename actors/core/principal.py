"""Who is asking, and what was decided about a credential.

A `Verdict` crosses from the Auth deployment to every ingress replica, so it is a value and its time is relative.
"""

from enum import StrEnum
from functools import cached_property
from typing import Final

import msgspec

MAX_CREDENTIAL_BYTES: Final = 16 * 1024
"""Longer credentials are refused unread; common HTTP servers stop at headers of this size too."""


class Kind(StrEnum):
    """How a principal was recognised."""

    ANONYMOUS = "anonymous"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    KEY = "key"


class Principal(msgspec.Struct, frozen=True, array_like=True, cache_hash=True, dict=True):
    """Who is asking, once authenticated."""

    subject: str
    """The token's `sub`, or the configured name of the API key."""
    issuer: str
    """The token's `iss`; empty for API keys."""
    kind: Kind
    scopes: tuple[str, ...] = ()
    client: str = ""
    """The OAuth client that the token was given to; the name of an API key; empty if nobody says."""
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    """Those that the assignments of the policy give, inherited ones too, in alphabetical order."""
    amr: tuple[str, ...] = ()
    """How a person proved who they are (RFC 8176)."""
    acr: str = ""
    auth_time: float | None = None
    """When they did, in Unix seconds."""
    token_id: str = ""
    """The token's `jti`; for an API key its own id."""
    family: str = ""
    """Which login of a person a token goes back to, if the gateway issued it: revoked as one."""
    issued_at: float = 0.0
    """Unix seconds; 0 if nobody says."""
    actor: str = ""
    """The subject that acts on this one's behalf (RFC 8693, `act`), if any."""
    key_thumbprint: str = ""
    """Of the key that the token is bound to (RFC 9449, `cnf.jkt`): worth nothing without a proof by that key."""
    endpoints: tuple[str, ...] = ()
    """The only endpoints that the token is for (RFC 8707): backends, or empty for the aggregate; none if for all."""

    @cached_property
    def key(self) -> str:
        """The identity that sessions are bound to: equal for equal subjects of one issuer, whatever their scopes.

        The issuer's length is part of it, so that no choice of subject can imitate another issuer's.
        """
        return f"{self.kind.value}:{len(self.issuer)}:{self.issuer}:{self.subject}"


def parts_of(key: str) -> tuple[str, str, str]:
    """The kind, the issuer and the subject that a `Principal.key` is made of; empty if it is none."""
    kind, _, rest = key.partition(":")
    length, _, rest = rest.partition(":")
    if not (length.isascii() and length.isdigit()):
        return "", "", ""
    return kind, rest[: int(length)], rest[int(length) + 1 :]


ANONYMOUS: Final = Principal(subject="anonymous", issuer="", kind=Kind.ANONYMOUS)
"""Everyone, where no authentication is configured."""


class Refusal(StrEnum):
    """Why a credential was not accepted; it says no more than this to anybody."""

    INVALID = "invalid"
    """Malformed, forged, for another audience, or not valid yet."""
    EXPIRED = "expired"
    """A genuine token whose time is over."""
    UNKNOWN = "unknown"
    """No such API key, issuer, or signing key."""
    UNAVAILABLE = "unavailable"
    """Nothing is known against it: the issuer's keys could not be fetched."""


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """What Auth decided about one credential. Exactly one of `principal` and `refusal` is set."""

    principal: Principal | None
    refusal: Refusal | None
    lasts: float
    """Seconds for which it may be reused; relative, because hosts do not share a clock."""
