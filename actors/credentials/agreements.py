"""What users have agreed to at one server: kept in the Vault, shared by all replicas, renewed by one at a time.

Who renews holds the claim to it: a refresh token that is used twice ends the whole consent at many authorization
servers.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import msgspec
import structlog

from actors.core.credential_settings import CredentialSettings
from actors.core.oauth.agreement import Agreement, read_agreement
from actors.core.oauth.client import Client
from actors.core.oauth.grants import refresh_form
from actors.credentials.discovery import TokenPlace
from actors.credentials.keeper import Keeper
from actors.credentials.kept_tokens import early_seconds
from actors.credentials.token_endpoint import GrantError, TokenEndpoint
from actors.credentials.whereabouts import Whereabouts
from actors.transports.authorization import ConsentError

CLAIM_SECONDS: Final = 30.0
"""For one request to a token endpoint, and what goes before and after it."""

POLL_SECONDS: Final = 0.25
"""Between two looks while another replica renews."""

NOT_YET: Final = "no consent yet"
ENDED: Final = "the consent has ended"

log = structlog.get_logger()


class _Case(NamedTuple):
    """All that renewing takes."""

    key: tuple[str, str, str]
    holder: str
    value: bytes | None
    agreement: Agreement
    place: TokenPlace
    client: Client


class Agreements:
    """Of one replica of a backend. `unix` gives Unix seconds, `dice` numbers from 0 up to 1, `sleep` takes seconds."""

    def __init__(
        self,
        settings: CredentialSettings,
        whereabouts: Whereabouts,
        endpoint: TokenEndpoint,
        keeper: Keeper,
        *,
        backend: str,
        unix: Callable[[], float] = time.time,
        dice: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        new_holder: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        """`new_holder` gives a name for each claim that nobody else has."""
        self._settings = settings
        self._whereabouts = whereabouts
        self._endpoint = endpoint
        self._keeper = keeper
        self._backend = backend
        self._unix = unix
        self._dice = dice
        self._sleep = sleep
        self._new_holder = new_holder

    async def current(self, principal: str, place: TokenPlace, refused: str | None = None) -> Agreement:
        """The agreement of a principal with a token that is good, and is not `refused`. Rungs of each round, in order:

        1. There must be an agreement, for this server.
        2. A good token is good.
        3. What cannot be renewed is used to its end.
        4. Who has the claim renews; who has not uses what is left, or looks again.

        Raises:
            ConsentError: the user must agree first.
            CredentialError, OSError: the Vault or the token endpoint has no answer.
        """
        key, holder, claimed = (principal, self._backend, place.issuer), self._new_holder(), False
        while True:
            value = await self._keeper.credential(*key)
            agreement = read_agreement(value)
            if agreement is None or agreement.resource != place.resource:
                raise ConsentError(NOT_YET)
            left = self.left(agreement) if agreement.access != refused else 0.0
            client = self.client(agreement, place) if agreement.refresh else None
            if left > (0.0 if client is None else self.early(agreement)):
                if claimed:
                    await self._keeper.settle_credential(*key, holder, value)
                return agreement
            if client is None:
                raise ConsentError(ENDED)
            if claimed:
                renewed = await self._renew(_Case(key, holder, value, agreement, place, client))
                if renewed is not None:
                    return renewed
                claimed = False
            elif await self._keeper.claim_credential(*key, holder, CLAIM_SECONDS):
                claimed = True  # and another look: somebody may have renewed it meanwhile
            elif left > 0:
                return agreement
            else:
                await self._sleep(POLL_SECONDS)

    async def want(self, principal: str, scopes: tuple[str, ...]) -> None:
        """Keep it that the server wants more, for the page that asks the user. Who cannot, gives up."""
        try:
            place = await self._whereabouts.place()
            key, holder = (principal, self._backend, place.issuer), self._new_holder()
            known = read_agreement(await self._keeper.credential(*key))
            if known is None or set(scopes) <= {*known.wanted}:
                return
            for _ in range(int(CLAIM_SECONDS / POLL_SECONDS)):
                if await self._keeper.claim_credential(*key, holder, CLAIM_SECONDS):
                    value = await self._keeper.credential(*key)
                    agreement = read_agreement(value)
                    wanting = value if agreement is None else msgspec.msgpack.encode(agreement.wanting(scopes))
                    await self._keeper.settle_credential(*key, holder, wanting)
                    return
                await self._sleep(POLL_SECONDS)
        except OSError as error:
            log.warning("scopes_not_noted", backend=self._backend, reason=type(error).__name__)

    def client(self, agreement: Agreement, place: TokenPlace) -> Client | None:
        """The client that tokens belong to; nothing if the gateway is another one there by now."""
        if not self._settings.client_id:
            return agreement.client
        return self._endpoint.configured(place) if agreement.client.id == self._settings.client_id else None

    def left(self, agreement: Agreement) -> float:
        """For how many seconds its token is good."""
        return max(agreement.expires_at - self._unix(), 0.0)

    def early(self, agreement: Agreement) -> float:
        """How many seconds before its end a token is renewed."""
        return early_seconds(agreement.seconds, self._dice())

    async def _renew(self, case: _Case) -> Agreement | None:
        """Another token, kept; nothing if the agreement has changed meanwhile, which is not overwritten."""
        agreement = case.agreement
        form = refresh_form(agreement.refresh, case.place.resource)
        try:
            token = await self._endpoint.ask(case.place, form, case.client)
        except GrantError:
            if not await self._keeper.settle_credential(*case.key, case.holder, None):
                return None
            log.info("consent_ended", backend=self._backend)
            raise ConsentError(ENDED) from None
        except OSError:
            await self._keeper.settle_credential(*case.key, case.holder, case.value)
            raise
        renewed = agreement.renewed(token, self._unix())
        kept = await self._keeper.settle_credential(*case.key, case.holder, msgspec.msgpack.encode(renewed))
        return renewed if kept else None
