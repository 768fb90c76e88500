"""What a token of the gateway's own says of its holder, whoever makes it."""

import re
from typing import Final

import msgspec

from actors.core.audience import ENDPOINT, endpoint_at
from actors.core.principal import Kind, Principal

MAX_WORDS: Final = 100
"""Scopes, or groups, of one token: more would not fit into a header."""

MAX_WORD: Final = 256
"""Characters of a subject, a client, a scope or a group."""

_SUBJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/+-]{0,127}")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""A scope-token (RFC 6749, section 3.3)."""


class Grant(msgspec.Struct, frozen=True):
    """Who it is, and what they were given."""

    subject: str
    client: str = ""
    """The OAuth client it is for; of a service its own name."""
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    acr: str = ""
    auth_time: float | None = None
    """Unix seconds."""
    resource: str = ""
    """The path of the only endpoint that tokens are for (RFC 8707), such as `/servers/git/mcp`; empty for all."""

    def principal(self, issuer: str, *, family: str = "", token_id: str = "", issued_at: float = 0.0) -> Principal:
        """Whom a token of this grant is about."""
        return Principal(
            self.subject,
            issuer,
            Kind.TOKEN,
            self.scopes,
            client=self.client,
            groups=self.groups,
            amr=self.amr,
            acr=self.acr,
            auth_time=self.auth_time,
            token_id=token_id,
            family=family,
            issued_at=issued_at,
            endpoints=() if not self.resource else (endpoint_at(self.resource) or "",),
        )


def service_fault(subject: str) -> str:
    """Why a service may not be called so, or nothing. A colon is for people: it follows the name of their provider."""
    well = _SUBJECT.fullmatch(subject) is not None
    return "" if well else "a subject has 1 to 128 letters, digits and `._@/+-`, and begins with a letter or digit"


def resource_fault(resource: str) -> str:
    """Why no token can be for this endpoint only, or nothing."""
    well = not resource or ENDPOINT.fullmatch(resource) is not None
    return "" if well else "a server has letters, digits and `._~-` in its name"


def words_fault(scopes: tuple[str, ...], groups: tuple[str, ...]) -> str:
    """Why these scopes and groups cannot stand in a token, or nothing."""
    if max(len(scopes), len(groups)) > MAX_WORDS or any(len(word) > MAX_WORD for word in (*scopes, *groups)):
        return f"at most {MAX_WORDS} scopes and groups, each of at most {MAX_WORD} characters"
    if not all(_SCOPE.fullmatch(scope) for scope in scopes):
        return "a scope has no spaces, quotes, backslashes or control characters"
    return "" if all(group.strip() and group.isprintable() for group in groups) else "a group has printable characters"
