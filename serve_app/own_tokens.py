"""What Auth knows of the gateway's own tokens and API keys, and of all that is revoked: a copy of the Vault's ledger.

It is followed, so nothing is asked of the Vault for a token that it signed. While the Vault is away the copy goes on;
as long as there has never been one, nobody can be let in, since anybody may have been revoked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from actors.core.api_key import PREFIX, hash_of
from actors.core.principal import Principal, Refusal
from actors.core.tokens.ledger import Ledger
from actors.core.tokens.own_issuer import OwnIssuer
from actors.reachability import Reachability
from actors.refs.gone import ActorGone
from serve_app.signing_keys import SigningKey, from_jwks

PAUSE_SECONDS: Final = 0.5
"""Between two attempts to reach a Vault that is not there."""

FIRST_SECONDS: Final = 3.0
"""How long a credential waits for the first copy."""


class LedgerSource(Protocol):
    """Who has the ledger; `actors.refs.vault.VaultRef` is one."""

    async def watch(self, generation: str, version: int) -> Ledger:
        """See `Vault.watch`."""

    async def news(self, generation: str, version: int) -> Ledger | None:
        """See `Vault.news`."""


class OwnTokens:
    """Belongs to one event loop. It is a `KeySource` of the gateway's own tokens."""

    def __init__(
        self,
        own: OwnIssuer,
        find_vault: Callable[[], LedgerSource],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        first_seconds: float = FIRST_SECONDS,
    ) -> None:
        self.own: Final = own
        self._find_vault = find_vault
        self._sleep = sleep
        self._first_seconds = first_seconds
        self._ledger = Ledger()
        self._keys: tuple[SigningKey, ...] = ()
        self._first = asyncio.Event()
        self._turn = asyncio.Lock()
        self._asked = 0
        self._following: asyncio.Task[None] | None = None

    async def is_known(self) -> bool:
        """Whether there is a copy; waits for the first one, and begins to follow the Vault."""
        if self._following is None:
            self._following = asyncio.get_running_loop().create_task(self._follow())
        if not self._first.is_set():
            try:
                async with asyncio.timeout(self._first_seconds):
                    await self._first.wait()
            except TimeoutError:
                return False
        return True

    def is_revoked(self, principal: Principal) -> bool:
        """Whether what a principal was recognised by is worth nothing any more."""
        return self._ledger.revocations.covers(principal)

    async def find(self, kid: str | None, algorithm: str) -> SigningKey | Refusal:
        """Find the key that a token of the gateway's own was signed with; one just made is asked for."""
        key = self._known_key(kid, algorithm)
        if key is None:
            if not await self._refresh():
                return Refusal.UNAVAILABLE
            key = self._known_key(kid, algorithm)
        return Refusal.UNKNOWN if key is None else key

    async def match(self, credential: str, now: float) -> tuple[Principal, float | None] | Refusal:
        """Whose API key this is, of those made while the gateway runs, and when it ends, in Unix seconds."""
        if not credential.startswith(PREFIX):
            return Refusal.UNKNOWN
        found = self._matched(credential, now)
        if found is None:
            if not await self._refresh():
                return Refusal.UNAVAILABLE
            found = self._matched(credential, now)
        return Refusal.UNKNOWN if found is None else found

    def _matched(self, credential: str, now: float) -> tuple[Principal, float | None] | None:
        hashed = hash_of(credential).encode()
        matches = [record.match(hashed, now) for record in self._ledger.keys]  # all, so that the time tells nothing
        return next((found for found in matches if found is not None), None)

    def _known_key(self, kid: str | None, algorithm: str) -> SigningKey | None:
        return next((key for key in self._keys if key.kid == kid and key.algorithm == algorithm), None)

    async def _refresh(self) -> bool:
        """Ask for a newer copy; whether there was an answer. However many want it, one question is under way at a time.

        One that was under way before may have been answered too early, so they all wait for the next.
        """
        wanted = self._asked + 1
        async with self._turn:
            if self._asked >= wanted:
                return True
            self._asked += 1
            try:
                news = await self._find_vault().news(self._ledger.generation, self._ledger.version)
            except ActorGone:
                self._asked -= 1
                return False
            if news is not None:
                self._adopt(news)
            return True

    async def _follow(self) -> None:
        vault = Reachability("vault_reachable", "vault_unreachable")
        while True:
            try:
                self._adopt(await self._find_vault().watch(self._ledger.generation, self._ledger.version))
            except Exception as error:  # noqa: BLE001 - who follows no more would accept what is revoked, for ever
                vault.missed(type(error).__name__)
                await self._sleep(PAUSE_SECONDS)
            else:
                vault.reached()

    def _adopt(self, ledger: Ledger) -> None:
        if ledger.generation == self._ledger.generation and ledger.version <= self._ledger.version:
            return
        self._keys = from_jwks(ledger.jwks, self.own.settings.algorithms)
        self._ledger = ledger
        self._first.set()
