"""The tokens for one server: one of the gateway's own, or one for each principal, kept while they are good.

Renewed before it expires, and not by every replica in the same moment; asked for anew when the server refuses it. Kept
in memory only: after a restart they are asked for again.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from actors.core.credential_settings import CredentialSettings
from actors.core.oauth.challenge import NONE, Challenge, read_challenge
from actors.core.oauth.grants import client_form, exchange_form
from actors.credentials.discovery import Discovery, TokenPlace
from actors.credentials.kept_tokens import Kept, KeptTokens, early_seconds
from actors.credentials.token_endpoint import TokenEndpoint
from actors.credentials.whereabouts import PLACE_SECONDS
from actors.transports.authorization import CredentialError

MAX_SCOPES: Final = 100
"""That a server may ask for, one after the other."""

SCHEME: Final = "Bearer "

log = structlog.get_logger()


class Subjects(Protocol):
    """Who states to a service that exchanges tokens who a caller is; the Vault does."""

    async def statement(self, principal: str, issuers: tuple[str, ...], audience: str) -> str:
        """A signed statement for this audience and no other, good for a minute; see `Vault.statement`.

        Raises:
            CredentialError: nothing can be stated of this principal.
            OSError: it could not be asked.
        """


class _Token(NamedTuple):
    text: str
    scopes: tuple[str, ...]
    """That it was asked for with."""


class TokenSource:
    """Of one replica of a backend. `clock` is monotonic, in seconds; `dice` gives numbers from 0 up to 1."""

    def __init__(
        self,
        settings: CredentialSettings,
        discovery: Discovery,
        endpoint: TokenEndpoint,
        subjects: Subjects | None,
        *,
        backend: str,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """`subjects` is needed where principals have tokens of their own."""
        self._settings = settings
        self._discovery = discovery
        self._endpoint = endpoint
        self._subjects = subjects
        self._backend = backend
        self._clock = clock
        self._dice = dice
        self._challenge = NONE
        self._place: tuple[TokenPlace, float] | None = None
        self._tokens = KeptTokens(self._asked, self._failed, clock)

    def of(self, principal: str) -> "PrincipalCredential":
        """What a principal (`Principal.key`) is sent as; the empty one is the gateway itself."""
        return PrincipalCredential(self, principal)

    async def token(self, principal: str) -> str:
        """The token of a principal, asked for if there is none.

        Raises:
            CredentialError: there is none.
        """
        return (await self._tokens.get(principal)).text

    def refused(self, principal: str, token: str, status: int, challenge: Challenge, *, again: bool) -> bool:
        """See `Credential.refused`. Rungs, in order; the first which decides wins:

        1. A refusal that is not for want of authorization is an answer like others.
        2. The second in a row is the end of it; if the token is no good, for a moment of all with this principal.
        3. Another token is there already.
        4. A token that is good for too little (403) is the end of it, unless another may be good for more.
        5. The token is let go of, and what the server says is taken into account for the next.

        Raises:
            CredentialError: that is the end of it.
        """
        if status != 401 and challenge.error != "insufficient_scope":
            return False
        kept = self._tokens.kept(principal)
        is_current = kept is not None and kept.text == token
        wants_more = kept is not None and not set(self._settings.scopes or challenge.scopes) <= set(kept.scopes)
        if again or (is_current and status != 401 and not wants_more):
            if is_current and status == 401:
                self._tokens.drop(principal)
                self._tokens.pause(principal, f"it refuses the gateway's token ({status})")
            log.warning("token_not_taken", backend=self._backend, status=status)
            raise CredentialError(f"it refuses the gateway's token ({status})")
        if is_current:
            self._tokens.drop(principal)
            self._place = None
            self._challenge = Challenge(
                challenge.resource_metadata or self._challenge.resource_metadata,
                tuple(dict.fromkeys((*self._challenge.scopes, *challenge.scopes)))[:MAX_SCOPES],
            )
        return True

    async def _asked(self, principal: str) -> Kept[_Token]:
        place = await self._found()
        form = await self._form(principal, place)
        token = await self._endpoint.ask(place, form)
        end = self._clock() + token.seconds
        return Kept(_Token(token.text, place.scopes), end - early_seconds(token.seconds, self._dice()), end)

    def _failed(self, reason: str) -> None:
        log.warning("no_token", backend=self._backend, reason=reason)
        self._place = None

    async def _found(self) -> TokenPlace:
        now = self._clock()
        if self._place is None or now >= self._place[1]:
            self._place = await self._discovery.find(self._challenge), now + PLACE_SECONDS
        return self._place[0]

    async def _form(self, principal: str, place: TokenPlace) -> dict[str, str]:
        if not principal or not self._settings.is_per_principal:
            return client_form(place.scopes, place.resource)
        if self._subjects is None:
            raise CredentialError("nobody here can state who the caller is")
        statement = await self._subjects.statement(principal, self._settings.issuers, place.url)
        return exchange_form(self._settings, statement, place.scopes, place.resource)


class PrincipalCredential:
    """One principal's at one server; keeps the contract of `Credential`."""

    def __init__(self, source: TokenSource, principal: str) -> None:
        self._source = source
        self._principal = principal

    async def authorization(self) -> str:
        """See `Credential.authorization`."""
        return f"{SCHEME}{await self._source.token(self._principal)}"

    def refused(self, authorization: str, status: int, challenges: Sequence[str], *, again: bool) -> bool:
        """See `Credential.refused`."""
        token = authorization.removeprefix(SCHEME)
        return self._source.refused(self._principal, token, status, read_challenge(challenges), again=again)
