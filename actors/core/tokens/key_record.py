"""An API key that was made while the gateway ran, as it is kept: its hash, never itself."""

import hmac
from typing import Final

import msgspec

from actors.core.api_key import PREFIX
from actors.core.principal import Kind, Principal

SHOWN_CHARS: Final = len(PREFIX) + 6
"""So much of a key is kept to recognise it by: 36 of its 256 bits."""


class KeyRecord(msgspec.Struct, frozen=True):
    """One key, by name. Times are Unix seconds."""

    name: str
    hash: str
    """See `api_key.hash_of`."""
    shown: str
    """The first characters of the key."""
    made_at: float
    scopes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    expires_at: float | None = None
    former_hash: str = ""
    """Of the key before it, while that is still good."""
    former_until: float = 0.0

    def __repr__(self) -> str:
        return f"KeyRecord({self.name!r})"

    @property
    def id(self) -> str:
        """Of the key itself: another one after each rotation."""
        return key_id(self.hash)

    def match(self, hashed: bytes, now: float) -> tuple[Principal, float | None] | None:
        """Whom a presented key makes of its holder, and when that ends; nothing if it is another key, or over.

        Both hashes are compared to the end, so that the time taken tells nothing.
        """
        is_new = hmac.compare_digest(hashed, self.hash.encode())
        is_former = hmac.compare_digest(hashed, self.former_hash.encode()) and now < self.former_until
        if not (is_new or is_former) or (self.expires_at is not None and now >= self.expires_at):
            return None
        ends = [at for at in (self.expires_at, None if is_new else self.former_until) if at is not None]
        return self._principal(self.hash if is_new else self.former_hash), min(ends, default=None)

    def _principal(self, hashed: str) -> Principal:
        return key_principal(self.name, hashed, self.scopes, self.groups)


def key_id(hashed: str) -> str:
    """What a key is called where it must be told from others, as in the audit: it is no secret."""
    return hashed.removeprefix("sha256:")[:16]


def key_principal(name: str, hashed: str, scopes: tuple[str, ...], groups: tuple[str, ...]) -> Principal:
    """The holder of an API key."""
    return Principal(name, "", Kind.KEY, scopes, client=name, groups=groups, token_id=key_id(hashed))
