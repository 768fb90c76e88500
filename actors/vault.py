"""The Vault: owns what the gateway itself issued, and knows what is revoked.

A plain class: `actors.runtime` makes it an actor, tests use it as it is. What it was asked to do is on the disk before
it answers. Auth watches it; it tells the Router what is revoked, for the Router's View reaches every ingress. No call
waits for it: of a credential that was seen before nobody asks.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog

from actors.core.auth_settings import AuthSettings
from actors.core.tokens.grant import Grant
from actors.core.tokens.issued import Declined, GrantFault, Shown, TokenEntry, TokenPair
from actors.core.tokens.key_record import KeyRecord
from actors.core.tokens.ledger import Ledger
from actors.core.tokens.own_issuer import OwnIssuer
from actors.core.tokens.revocations import Revocation, Revocations, Target
from actors.followers import Followers
from actors.refs.asking import WATCH_SECONDS
from actors.refs.gone import ActorGone
from actors.vault_desks import NO_TOKENS, VaultDesks
from actors.vault_file import VaultFile

ROUND_SECONDS: Final = 2.0
"""Between two times that it is made sure that the Router knows what is revoked; a change is told at once."""

SWEEP_SECONDS: Final = 60.0
"""Between two times that what is over is let go of, and that the age of the signing key is looked at."""

T = TypeVar("T")

log = structlog.get_logger()


class RevocationListener(Protocol):
    """Who spreads what is revoked; `actors.refs.router.RouterRef` is one."""

    async def revoke(self, revocations: Revocations) -> None:
        """See `Router.revoke`."""

    async def knows_revocations(self, mark: str) -> bool:
        """See `Router.knows_revocations`."""


class Vault:
    """Belongs to one event loop. `clock` gives Unix seconds."""

    def __init__(
        self,
        auth: AuthSettings | None,
        own: OwnIssuer,
        secret: bytes,
        open_file: Callable[[], VaultFile],
        find_router: Callable[[], RevocationListener],
        *,
        generation: str,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
        watch_seconds: float = WATCH_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`generation` is another one for each life of the actor; `secret` is the gateway's. Without `auth` it keeps
        what users have at upstream servers, and nothing else.

        The file is opened by whoever asks first, and again by the next if it could not be.
        """
        self._open_file = open_file
        self._make_desks = partial(VaultDesks, auth=auth, own=own, secret=secret, generation=generation, random=random)
        self._find_router = find_router
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._desks: VaultDesks | None = None
        self._ledger = Ledger(generation)
        self._followers = Followers(watch_seconds)
        self._rounds: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return "Vault"

    async def watch(self, generation: str, version: int) -> Ledger:
        """What those who verify must know, as soon as it differs from the version named, or after a while even so."""
        await self._do(lambda _desks, _now: None)
        await self._followers.wait_while(
            lambda: (self._ledger.generation, self._ledger.version) == (generation, version)
        )
        return self._ledger

    async def ledger(self) -> Ledger:
        """The same as it is now."""
        await self._do(lambda _desks, _now: None)
        return self._ledger

    async def news(self, generation: str, version: int) -> Ledger | None:
        """The same, or nothing if it is the one named."""
        ledger = await self.ledger()
        return None if (ledger.generation, ledger.version) == (generation, version) else ledger

    async def log_in(self, grant: Grant) -> TokenPair | Declined:
        """See `TokenDesk.log_in`."""
        return await self._do(lambda desks, now: NO_TOKENS if desks.tokens is None else desks.tokens.log_in(grant, now))

    async def refresh(
        self, token: str, client: str, scopes: tuple[str, ...], resource: str | None = None
    ) -> TokenPair | GrantFault:
        """See `TokenDesk.refresh`."""

        def work(desks: VaultDesks, now: float) -> TokenPair | GrantFault:
            tokens = desks.tokens
            return GrantFault.GRANT if tokens is None else tokens.refresh(token, client, scopes, now, resource)

        return await self._do(work)

    async def issue(self, grant: Grant, seconds: float) -> Shown | Declined:
        """See `TokenDesk.issue`."""

        def work(desks: VaultDesks, now: float) -> Shown | Declined:
            return NO_TOKENS if desks.tokens is None else desks.tokens.issue(grant, seconds, now)

        return await self._do(work)

    async def tokens(self) -> tuple[TokenEntry, ...]:
        """See `TokenDesk.entries`."""
        return await self._do(lambda desks, now: () if desks.tokens is None else desks.tokens.entries(now))

    async def end_token(self, name: str) -> Declined | None:
        """See `TokenDesk.end`."""
        return await self._do(lambda desks, now: NO_TOKENS if desks.tokens is None else desks.tokens.end(name, now))

    async def end_text(self, token: str) -> Declined | None:
        """See `TokenDesk.end_text`."""
        return await self._do(lambda desks, now: None if desks.tokens is None else desks.tokens.end_text(token, now))

    async def keys(self) -> tuple[KeyRecord, ...]:
        """See `KeyDesk.records`."""
        return await self._do(lambda desks, _now: desks.keys.records)

    async def create_key(
        self, name: str, scopes: tuple[str, ...], groups: tuple[str, ...], seconds: float | None
    ) -> Shown | Declined:
        """See `KeyDesk.create`."""
        return await self._do(lambda desks, now: desks.keys.create(name, scopes, groups, seconds, now))

    async def rotate_key(self, name: str, overlap: float) -> Shown | Declined:
        """See `KeyDesk.rotate`."""
        return await self._do(lambda desks, now: desks.keys.rotate(name, overlap, now))

    async def delete_key(self, name: str) -> Declined | None:
        """See `KeyDesk.delete`."""
        return await self._do(lambda desks, now: desks.keys.delete(name, now))

    async def revocations(self) -> Revocations:
        """What is revoked now."""
        return await self._do(lambda desks, _now: desks.revocations.revocations)

    async def revoke(self, target: Target, value: str, issuer: str = "") -> Revocation | Declined:
        """Revoke tokens of any issuer, and API keys. A token may be given as it is, or by its id.

        Every ingress that hears the Router knows of it when this returns, or very soon.
        """
        return await self._do(lambda desks, now: desks.revoke(target, value, issuer, now))

    async def forgive(self, name: str) -> Declined | None:
        """See `RevocationDesk.drop`."""
        return await self._do(lambda desks, _now: desks.revocations.drop(name))

    async def credential(self, principal: str, server: str, issuer: str) -> bytes | None:
        """See `CredentialDesk.get`."""
        return await self._do(lambda desks, _now: desks.credentials.get(principal, server, issuer))

    async def put_credential(self, principal: str, server: str, issuer: str, value: bytes) -> bool:
        """See `CredentialDesk.put`."""
        return await self._do(lambda desks, _now: desks.credentials.put(principal, server, issuer, value))

    async def drop_credential(self, principal: str, server: str, issuer: str) -> None:
        """See `CredentialDesk.drop`."""
        await self._do(lambda desks, _now: desks.credentials.drop(principal, server, issuer))

    async def credential_issuers(self, principal: str, server: str) -> tuple[str, ...]:
        """See `CredentialDesk.issuers`."""
        return await self._do(lambda desks, _now: desks.credentials.issuers(principal, server))

    async def claim(self, name: str, holder: str, seconds: float) -> bool:
        """See `CredentialDesk.claim`."""
        return await self._do(lambda desks, now: desks.credentials.claim(name, holder, seconds, now))

    async def claim_credential(self, principal: str, server: str, issuer: str, holder: str, seconds: float) -> bool:
        """See `CredentialDesk.claim_credential`."""
        place = (principal, server, issuer)
        return await self._do(lambda desks, now: desks.credentials.claim_credential(*place, holder, seconds, now))

    async def settle_credential(
        self, principal: str, server: str, issuer: str, holder: str, value: bytes | None
    ) -> bool:
        """See `CredentialDesk.settle`."""
        return await self._do(lambda desks, _now: desks.credentials.settle(principal, server, issuer, holder, value))

    async def seal(self, principal: str, server: str, payload: bytes) -> str:
        """See `CredentialDesk.seal`."""
        return await self._do(lambda desks, _now: desks.credentials.seal(principal, server, payload))

    async def unseal(self, principal: str, server: str, text: str) -> tuple[bytes, str] | None:
        """See `CredentialDesk.unseal`."""
        return await self._do(lambda desks, _now: desks.credentials.unseal(principal, server, text))

    async def statement(self, principal: str, issuers: tuple[str, ...], audience: str) -> str | Declined:
        """A signed statement of who a principal (`Principal.key`) is, for this audience; see `statement_claims`.

        `issuers` are those whose principals it is made of, the gateway itself if there are none: one subject may be
        somebody else's at another issuer.
        """
        return await self._do(lambda desks, now: desks.statement(principal, issuers, audience, now))

    async def look_round(self) -> None:
        """Let go of what is over, and sign with a new key if it is time."""
        await self._do(lambda desks, now: desks.sweep(now))

    async def make_known(self) -> None:
        """See to it that the Router knows what is revoked; nothing happens while there is none."""
        revocations = self._ledger.revocations
        if not revocations.mark:
            return
        with suppress(ActorGone):
            router = self._find_router()
            if not await router.knows_revocations(revocations.mark):
                await router.revoke(revocations)

    async def _do(self, work: Callable[[VaultDesks, float], T]) -> T:
        """Have a thread do it, one after the other; who gives up waiting does not stop it."""
        self._keep_time()
        return await asyncio.shield(asyncio.create_task(self._work(work)))

    async def _work(self, work: Callable[[VaultDesks, float], T]) -> T:
        async with self._turn:
            known = self._ledger.revocations.mark
            try:
                result = await asyncio.to_thread(self._run, work)
            finally:
                self._publish()  # also what was done before something went wrong
        if self._ledger.revocations.mark != known:
            await self.make_known()
        return result

    def _run(self, work: Callable[[VaultDesks, float], T]) -> T:
        now = self._clock()
        if self._desks is None:
            file = self._open_file()
            try:
                self._desks = self._make_desks(file, now=now)
            except BaseException:
                file.close()
                raise
        return work(self._desks, now)

    def _publish(self) -> None:
        ledger = self._ledger if self._desks is None else self._desks.ledger_after(self._ledger)
        if ledger is not self._ledger:
            self._ledger = ledger
            self._followers.wake()

    def _keep_time(self) -> None:
        """Start the rounds, which need a running loop that the constructor of an actor does not have."""
        if self._rounds is None:
            self._rounds = asyncio.get_running_loop().create_task(self._go_round())

    async def _go_round(self) -> None:
        since = 0.0
        while True:
            await self._sleep(ROUND_SECONDS)
            since += ROUND_SECONDS
            try:
                await self.make_known()
                if since >= SWEEP_SECONDS:
                    since = 0.0
                    await self.look_round()
            except Exception as error:  # noqa: BLE001 - rounds that have ended would never be gone again
                log.error("vault_round_failed", reason=type(error).__name__)
