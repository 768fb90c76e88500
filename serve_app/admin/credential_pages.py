"""What the admin API says of what the gateway issued, and what it is told of it. Moments are as RFC 3339 has them."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from actors.core.tokens.issued import TokenEntry
from actors.core.tokens.key_record import KeyRecord
from actors.core.tokens.revocations import Revocation, Target

OVERLAP_SECONDS: Final = 86_400.0
"""How long the key before is still good after a rotation, unless somebody says otherwise: a day to deploy it."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class TokenPage(msgspec.Struct, frozen=True, kw_only=True):
    """A family of tokens, or a token of a service."""

    id: str
    kind: str
    subject: str
    client: str
    scopes: tuple[str, ...]
    groups: tuple[str, ...]
    resource: str
    """The path of the only endpoint it is for; empty for all."""
    issued_at: str | None
    expires_at: str | None
    revoked: bool
    token: str | msgspec.UnsetType = msgspec.UNSET
    """Once, when it is issued."""


class TokensPage(msgspec.Struct, frozen=True):
    """All of them."""

    tokens: tuple[TokenPage, ...]


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """An API key."""

    name: str
    id: str
    begins_with: str
    scopes: tuple[str, ...]
    groups: tuple[str, ...]
    made_at: str | None
    expires_at: str | None
    former_until: str | None
    """How long the key before it is good."""
    key: str | msgspec.UnsetType = msgspec.UNSET
    """Once, when it is made."""


class KeysPage(msgspec.Struct, frozen=True):
    """All of them."""

    keys: tuple[KeyPage, ...]


class RevocationPage(msgspec.Struct, frozen=True, kw_only=True):
    """What is revoked."""

    id: str
    target: Target
    value: str
    issuer: str
    before: str | None
    """What was issued later is good."""
    until: str | None


class RevocationsPage(msgspec.Struct, frozen=True):
    """All that is."""

    revocations: tuple[RevocationPage, ...]


class TokenOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What a request for a service's token says."""

    subject: str
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    lifetime_seconds: Seconds | None = None
    server: str = ""
    """The only server whose endpoint it is good at; without it, it is good everywhere."""


class KeyOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What a request for an API key says."""

    name: str
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    lifetime_seconds: Seconds | None = None
    """From now; without it the key does not expire."""


class RotateOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What a request to rotate a key says."""

    overlap_seconds: Seconds = OVERLAP_SECONDS


class RevokeOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What a request to revoke says: one of these, and `issuer` also beside another one, whose it is then."""

    token: str | None = None
    family: str | None = None
    subject: str | None = None
    client: str | None = None
    issuer: str | None = None


def token_page(entry: TokenEntry) -> TokenPage:
    """What is shown of a family of tokens."""
    return TokenPage(
        id=entry.id,
        kind=entry.kind,
        subject=entry.grant.subject,
        client=entry.grant.client,
        scopes=entry.grant.scopes,
        groups=entry.grant.groups,
        resource=entry.grant.resource,
        issued_at=_moment(entry.issued_at),
        expires_at=_moment(entry.expires_at),
        revoked=entry.revoked,
    )


def key_page(record: KeyRecord) -> KeyPage:
    """What is shown of an API key."""
    return KeyPage(
        name=record.name,
        id=record.id,
        begins_with=record.shown,
        scopes=record.scopes,
        groups=record.groups,
        made_at=_moment(record.made_at),
        expires_at=_moment(record.expires_at),
        former_until=_moment(record.former_until) if record.former_hash else None,
    )


def revocation_page(each: Revocation) -> RevocationPage:
    """What is shown of a revocation."""
    return RevocationPage(
        id=each.id,
        target=each.target,
        value=each.value,
        issuer=each.issuer,
        before=_moment(each.before),
        until=_moment(each.until),
    )


def _moment(seconds: float | None) -> str | None:
    """As RFC 3339 has it; nothing for what has no end."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return None
