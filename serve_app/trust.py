"""The issuers whose tokens are taken, and how one is known to be theirs: by keys, by asking, or by both."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from actors.core.audience import Audience
from actors.core.auth_settings import IssuerSettings
from actors.core.principal import Refusal
from serve_app.discovery import Discovery
from serve_app.introspection import Introspection, Post
from serve_app.jwks import Fetch, Jwks
from serve_app.signing_keys import SigningKey, from_file


class KeySource(Protocol):
    """Where the keys of one issuer come from."""

    async def find(self, kid: str | None, algorithm: str) -> SigningKey | Refusal:
        """Find the key for a token whose header says so much; the issuer is allowed that algorithm."""


class FileKey:
    """The one key of an issuer, read from a file at the start."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    async def find(self, kid: str | None, algorithm: str) -> SigningKey | Refusal:
        """The key, whatever the token calls it; a signature by another algorithm will not match it."""
        return self._key


@dataclass(frozen=True, slots=True)
class Trust:
    """An issuer, and how its tokens are verified: by its keys, by asking it, or by both."""

    issuer: IssuerSettings
    audience: Audience
    source: KeySource | None
    introspection: Introspection | None


def trust_of(
    issuer: IssuerSettings, public_url: str | None, fetch: Fetch, monotonic: Callable[[], float], post: Post
) -> Trust:
    """How the tokens of an issuer are verified; `monotonic` gives seconds.

    Raises:
        OSError: its key file cannot be read.
        ValueError: its key file does not suit it.
    """
    return Trust(
        issuer,
        Audience(issuer.audience, public_url),
        _source(issuer, fetch, monotonic),
        _introspection(issuer, monotonic, post),
    )


def _source(issuer: IssuerSettings, fetch: Fetch, monotonic: Callable[[], float]) -> KeySource | None:
    if issuer.key_file is not None:
        return FileKey(from_file(issuer, Path(issuer.key_file)))
    if issuer.jwks_url is not None:
        return Jwks(issuer, issuer.jwks_url, fetch, monotonic)
    return (
        Jwks(issuer, issuer.issuer, Discovery(issuer.issuer, fetch).fetch_keys, monotonic)
        if issuer.is_discovered
        else None
    )


def _introspection(issuer: IssuerSettings, monotonic: Callable[[], float], post: Post) -> Introspection | None:
    settings = issuer.introspection
    return None if settings is None else Introspection(issuer.issuer, settings, monotonic, post)
