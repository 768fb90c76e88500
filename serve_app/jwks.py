"""The keys of one issuer who publishes them at a URL.

They are fetched when they are needed, again when they are old or a token names an unknown key, and never more often
than every few seconds, whatever strangers send. While the issuer is down the last good set goes on.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from actors.core.auth_settings import IssuerSettings
from actors.core.principal import Refusal
from serve_app.fetch import FETCH_SECONDS
from serve_app.signing_keys import SigningKey, from_jwks

Fetch = Callable[[str], Awaitable[bytes]]
"""Fetches a document, and raises `OSError` if it cannot."""

FRESH_SECONDS: Final = 300.0
"""For so long a set is used without asking again; a withdrawn key is accepted for as long."""

REFRESH_SECONDS: Final = 10.0
"""The least time between two fetches, successful or not."""

KEPT_SECONDS: Final = 24 * 3600.0
"""For so long the last good set is used while its issuer is down; beyond it a withdrawn key is the greater risk."""

PATIENCE_SECONDS: Final = 2.0
"""How long a token waits for a refresh if its key is in the last good set; then that one is used."""

log = structlog.get_logger()


class Jwks:
    """Finds the keys of one issuer. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        issuer: IssuerSettings,
        url: str,
        fetch: Fetch,
        clock: Callable[[], float],
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._issuer = issuer
        self._url = url
        self._fetch = fetch
        self._clock = clock
        self._patience = patience
        self._keys: tuple[SigningKey, ...] = ()
        self._fetched_at = -math.inf
        self._asked_at = -math.inf
        self._failing = True
        self._refreshing: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> SigningKey | Refusal:
        """Find the key a token was signed with, fetching the set first if it is old or does not have the key.

        A token without `kid` gets the only key for its algorithm. `Refusal.UNAVAILABLE` if the key is not known
        and the last fetch failed, `Refusal.UNKNOWN` if it did not.
        """
        key = self._known(kid, algorithm)
        if key is not None and self._clock() - self._fetched_at < FRESH_SECONDS:
            return key
        await self._refresh(FETCH_SECONDS if key is None else self._patience)
        key = self._known(kid, algorithm)
        if key is not None:
            return key
        return Refusal.UNAVAILABLE if self._failing else Refusal.UNKNOWN

    def _known(self, kid: str | None, algorithm: str) -> SigningKey | None:
        if self._clock() - self._fetched_at >= KEPT_SECONDS:
            return None
        suitable = [key for key in self._keys if key.algorithm == algorithm and kid in (None, key.kid)]
        if kid is None and len(suitable) > 1:
            return None
        return suitable[0] if suitable else None

    async def _refresh(self, limit: float) -> None:
        """Wait for the fetch that is under way, or start one if the last is long enough ago."""
        if self._refreshing is None:
            if self._clock() - self._asked_at < REFRESH_SECONDS:
                return
            self._asked_at = self._clock()
            self._refreshing = asyncio.create_task(self._replace_keys())
        await asyncio.wait({self._refreshing}, timeout=limit)  # shared with others, so not cancelled with its waiter

    async def _replace_keys(self) -> None:
        try:
            keys = from_jwks(await self._fetch(self._url), self._issuer.algorithms)
        except (OSError, ValueError) as error:
            self._failing = True
            log.warning("issuer_keys_unavailable", issuer=self._issuer.issuer, reason=str(error))
        else:
            self._keys, self._fetched_at, self._failing = keys, self._clock(), False
            log.info("issuer_keys_fetched", issuer=self._issuer.issuer, keys=len(keys))
        finally:
            self._refreshing = None
