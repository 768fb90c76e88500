"""What the Vault gives out, and how it says no. Nothing here shows a credential when it is printed."""

from enum import StrEnum

import msgspec

from actors.core.tokens.grant import Grant


class TokenPair(msgspec.Struct, frozen=True):
    """What a login or a refresh gives."""

    access: str
    seconds: float
    """How long that is good."""
    refresh: str
    scopes: tuple[str, ...]

    def __repr__(self) -> str:
        return "TokenPair"


class GrantFault(StrEnum):
    """Why a token endpoint gives nothing (RFC 6749, section 5.2)."""

    GRANT = "invalid_grant"
    SCOPE = "invalid_scope"
    TARGET = "invalid_target"
    """RFC 8707, section 2."""


class TokenEntry(msgspec.Struct, frozen=True):
    """A token that was issued for a service, or a login of a person, as it is listed. Times are Unix seconds."""

    id: str
    """The `jti` of the token, or the family of the login."""
    kind: str
    """`service` or `login`."""
    grant: Grant
    issued_at: float
    expires_at: float
    revoked: bool = False


class Shown(msgspec.Struct, frozen=True):
    """A credential that was just made; it is shown this once."""

    secret: str
    entry: object = None

    def __repr__(self) -> str:
        return "Shown"


class No(StrEnum):
    """Of what kind a refusal is."""

    UNKNOWN = "unknown"
    """There is no such thing."""
    TAKEN = "taken"
    """There is one already."""
    FULL = "full"
    WRONG = "wrong"
    """It cannot be meant so."""


class Declined(msgspec.Struct, frozen=True):
    """What somebody asked of the Vault and does not get; the reason is a sentence for them."""

    no: No
    reason: str
