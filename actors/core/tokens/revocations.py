"""What is worth nothing any more though it has not expired: tokens, logins, and whatever goes back to somebody."""

import hashlib
import math
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Final

import msgspec

from actors.core.principal import Kind, Principal

MAX_REVOCATIONS: Final = 10_000
"""They ride in the View. Whoever has more to revoke revokes subjects, clients or an issuer as a whole."""


class Target(StrEnum):
    """What a revocation is about."""

    TOKEN = "token"  # noqa: S105 - a word
    """One token by its `jti`, or one API key by its id."""
    FAMILY = "family"
    """All that goes back to one login."""
    SUBJECT = "subject"
    CLIENT = "client"
    ISSUER = "issuer"


class Revocation(msgspec.Struct, frozen=True, array_like=True):
    """One of them. Times are Unix seconds."""

    target: Target
    value: str
    issuer: str = ""
    """Whose subject, client or token it is; empty for that of any issuer."""
    before: float = math.inf
    """What was issued then or earlier is worth nothing. What does not say when it was issued was issued earlier."""
    until: float = math.inf
    """By then everything it is about has expired."""

    @property
    def id(self) -> str:
        """The same for two about the same."""
        named = "\0".join((self.target, self.issuer, self.value)).encode(errors="surrogatepass")
        return hashlib.sha256(named).hexdigest()[:16]


class Credential(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of the credential that a session was opened with: enough to tell whether it is revoked."""

    subject: str
    issuer: str
    client: str = ""
    token_id: str = ""
    family: str = ""
    issued_at: float = 0.0
    """Each as in `Principal`."""


def credential_of(principal: Principal) -> Credential | None:
    """That by which a principal was recognised; nothing if there was none."""
    if principal.kind is Kind.ANONYMOUS:
        return None
    return Credential(
        principal.subject,
        principal.issuer,
        principal.client,
        principal.token_id,
        principal.family,
        principal.issued_at,
    )


class Revocations(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """All of them at one time."""

    mark: str = ""
    """Another one after each change; empty if nobody has said anything yet."""
    entries: tuple[Revocation, ...] = ()

    def covers(self, principal: Principal | Credential) -> bool:
        """Whether a credential, or that by which a principal was recognised, is worth nothing any more."""
        before = self._before
        if not before:
            return False
        named = (
            (Target.TOKEN, principal.token_id),
            (Target.FAMILY, principal.family),
            (Target.SUBJECT, principal.subject),
            (Target.CLIENT, principal.client),
            (Target.ISSUER, principal.issuer),
        )
        issuers = ("", principal.issuer)
        latest = max(before.get((target, issuer, value), -math.inf) for target, value in named for issuer in issuers)
        return principal.issued_at <= latest

    @cached_property
    def _before(self) -> Mapping[tuple[Target, str, str], float]:
        return {(each.target, each.issuer, each.value): each.before for each in self.entries if each.value}


def merged(old: Revocation | None, new: Revocation) -> Revocation:
    """Two about the same as one: what either forbids stays forbidden."""
    if old is None:
        return new
    return msgspec.structs.replace(new, before=max(old.before, new.before), until=max(old.until, new.until))
