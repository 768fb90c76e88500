"""The refresh tokens that go back to one login, of which at most one is live.

Each is used once and gets a successor. A used one that is presented again was stolen, or its successor was: nobody
can tell which, so all of them end (RFC 9700, section 4.14.2).

One exception: the answer to a refresh may get lost, and the client tries again. Within `GRACE_SECONDS`, and as long
as its successor has not been used, the token before it gets the same successor once more, never a second one. So
even then at most one is live, and a thief gains nothing: he and the owner have the same token, and whoever uses it
second ends it for both. A successor is therefore no random number but drawn from the token before it, under a key
that only the vault has.
"""

import base64
import hashlib
import hmac
from enum import StrEnum
from typing import Final

import msgspec

from actors.core.tokens.grant import Grant

PREFIX: Final = "o1r_"
"""Starts every refresh token, so that people and secret scanners recognise one."""

TOKEN_BYTES: Final = 32

GRACE_SECONDS: Final = 10.0
"""A client that got no answer tries again within that."""

MAX_ROTATIONS: Final = 50_000
"""The digest of every used token is kept while its family lives. A year of refreshes every quarter of an hour is
35,000; a family that comes to more ends, and its person logs in again."""


class Step(StrEnum):
    """What the presentation of a refresh token comes to."""

    ROTATED = "rotated"
    """It is used now, and its successor lives."""
    REPEATED = "repeated"
    """It was just used: its successor lives already."""
    REUSED = "reused"
    """It was used before: the family ends."""
    EXPIRED = "expired"


class Family(msgspec.Struct, frozen=True):
    """All that goes back to one login. Digests are those of `digest_of`; times are Unix seconds."""

    id: str
    grant: Grant
    begun_at: float
    ends_at: float
    """Refreshing does not move it: whoever may log in no longer is out by then."""
    current: bytes
    """Of the live refresh token."""
    previous: bytes = b""
    """Of the one before it."""
    rotated_at: float = 0.0
    rotations: int = 0

    def present(self, digest: bytes, successor: bytes, now: float) -> tuple[Step, "Family"]:
        """Take one of its tokens, live or used; `successor` is the digest of the token that would follow it."""
        if now >= self.ends_at:
            return Step.EXPIRED, self
        if hmac.compare_digest(digest, self.current):
            if self.rotations >= MAX_ROTATIONS:
                return Step.EXPIRED, self
            rotated = msgspec.structs.replace(
                self, current=successor, previous=digest, rotated_at=now, rotations=self.rotations + 1
            )
            return Step.ROTATED, rotated
        in_time = 0 <= now - self.rotated_at < GRACE_SECONDS
        if in_time and hmac.compare_digest(digest, self.previous):
            return Step.REPEATED, self
        return Step.REUSED, self


def first_token(random: bytes) -> str:
    """The refresh token that a login gives; `random` has `TOKEN_BYTES`."""
    return _written(random)


def successor_of(key: bytes, token: str) -> str:
    """The refresh token that follows this one."""
    return _written(hmac.digest(key, token.encode(errors="surrogatepass"), "sha256"))


def digest_of(token: str) -> bytes:
    """The form in which a token is kept: it has 256 bits nobody can guess, so a plain hash is enough."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def _written(raw: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")
