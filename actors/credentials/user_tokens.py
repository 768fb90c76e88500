"""The tokens that users have let the gateway have for one server, each for the calls of that user and no other's.

What is kept in memory is what the Vault had a moment ago. That there is no consent is never remembered, so a call right
after it goes through.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from actors.core.consent import FOR_LISTS, giver_of
from actors.core.credential_settings import CredentialSettings
from actors.core.expiring import Expiring
from actors.core.oauth.agreement import Agreement
from actors.core.oauth.challenge import Challenge, read_challenge
from actors.credentials.agreements import CLAIM_SECONDS, NOT_YET, Agreements
from actors.credentials.discovery import TokenPlace
from actors.credentials.kept_tokens import MAX_TOKENS, MAX_WAITING, Kept, KeptTokens
from actors.credentials.token_source import SCHEME
from actors.credentials.whereabouts import Whereabouts
from actors.transports.authorization import ConsentError, CredentialError

LOOK_SECONDS: Final = 30.0
"""After so long the Vault is looked at again: another replica may have heard that the user wants it no more."""

LOOK_LIMIT: Final = 60.0
"""Seconds for one look, whoever waits for another replica."""

MORE: Final = "it wants more than the user has agreed to"

log = structlog.get_logger()


class UserTokens:
    """Of one replica of a backend. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        settings: CredentialSettings,
        whereabouts: Whereabouts,
        agreements: Agreements,
        *,
        backend: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._whereabouts = whereabouts
        self._agreements = agreements
        self._backend = backend
        self._clock = clock
        self._tokens: KeptTokens[Agreement | None] = KeptTokens(self._looked, self._failed, clock)
        """Nothing is given, and not kept, of an operator who has given no consent."""
        self._refused: Expiring[str, str] = Expiring(MAX_TOKENS)
        """The token of a principal that the server has refused before its time."""
        self._noting: dict[str, asyncio.Task[None]] = {}

    def of(self, principal: str) -> "UserCredential":
        """What a principal (`Principal.key`) is sent as."""
        return UserCredential(self, principal, may_be_nobody=False)

    def for_lists(self) -> "UserCredential":
        """What the conversation is held as that belongs to nobody's calls: as the operator, or as nobody."""
        return UserCredential(self, FOR_LISTS, may_be_nobody=True)

    async def token(self, principal: str) -> str:
        """The token of a principal; of `FOR_LISTS`, empty where the operator has given no consent.

        Raises:
            ConsentError: the user must agree first.
            CredentialError: there is none, although they have.
        """
        agreement = await self._tokens.get(principal)
        return "" if agreement is None else agreement.access

    def refused(self, principal: str, token: str, status: int, challenge: Challenge, *, again: bool) -> bool:
        """See `Credential.refused`. Rungs, in order; the first which decides wins:

        1. A refusal that is not for want of authorization is an answer like others.
        2. Who was nobody must be somebody.
        3. The first time the Vault is looked at again, for another token; one that is no good is renewed.
        4. A token that is good for too little: the user is asked for more, unless they were before.
        5. That is the end of it, and if the token is no good, for a moment of all with this principal.

        Raises:
            ConsentError: the user must agree, or to more.
            CredentialError: that is the end of it.
        """
        if status != 401 and challenge.error != "insufficient_scope":
            return False
        if status == 401:
            self._whereabouts.heard(challenge)
        if not token:
            raise ConsentError(f"it lists nothing for nobody: run `only1mcp connect {self._backend} --for-lists`")
        held = self._tokens.kept(principal)
        is_current = held is not None and held.access == token
        if not again:
            if is_current:
                self.forget(principal)
            if is_current and status == 401:
                self._whereabouts.forget()  # another authorization server may be the one that counts by now
                self._refused.put(principal, token, until=self._clock() + CLAIM_SECONDS)
            return True
        if status != 401:
            wanted = self._settings.scopes or challenge.scopes
            if held is None or not set(wanted) <= {*held.asked}:
                self._note(principal, wanted)
                raise ConsentError(MORE)
        elif is_current:
            self.forget(principal)
            self._tokens.pause(principal, f"it refuses the user's token ({status})")
        log.warning("user_token_not_taken", backend=self._backend, status=status)
        raise CredentialError(f"it refuses the user's token ({status})")

    def forget(self, principal: str) -> None:
        """Look into the Vault before the principal's next call: something has changed there."""
        self._tokens.forget(principal)

    async def noted(self, principal: str) -> None:
        """Wait until it is kept what the server wants more of a principal."""
        if (task := self._noting.get(principal)) is not None:
            await asyncio.wait([task])

    def _note(self, principal: str, scopes: tuple[str, ...]) -> None:
        """Have it kept what the server wants more: one thing at a time, however many calls find it out."""
        if principal not in self._noting and len(self._noting) < MAX_WAITING:
            task = asyncio.get_running_loop().create_task(self._agreements.want(principal, scopes))
            self._noting[principal] = task
            task.add_done_callback(lambda _: self._noting.pop(principal))

    async def _looked(self, principal: str) -> Kept[Agreement | None]:
        """What the Vault has; it is looked at again after a while, also while the token is good."""
        try:
            async with asyncio.timeout(LOOK_LIMIT):
                place = await self._place(principal)
                refused = self._refused.get(principal, self._clock())
                agreement = await self._agreements.current(principal, place, refused)
        except ConsentError:
            if principal != FOR_LISTS:
                raise
            return Kept(None, renew_at=self._clock(), until=self._clock())
        now, left = self._clock(), self._agreements.left(agreement)
        renew = max(left - self._agreements.early(agreement), 0.0)
        return Kept(agreement, renew_at=now + min(renew, LOOK_SECONDS), until=now + left)

    def _failed(self, reason: str) -> None:
        log.warning("no_user_token", backend=self._backend, reason=reason)
        self._whereabouts.forget()

    async def _place(self, principal: str) -> TokenPlace:
        try:
            return await self._whereabouts.place()
        except OSError:
            if principal != FOR_LISTS:
                raise
            raise ConsentError(NOT_YET) from None  # maybe it lists for everybody, and nobody gives tokens for it


class UserCredential:
    """One principal's at one server; keeps the contract of `Credential`."""

    def __init__(self, tokens: UserTokens, principal: str, *, may_be_nobody: bool) -> None:
        self._tokens = tokens
        self._principal = principal
        self._may_be_nobody = may_be_nobody

    async def authorization(self) -> str:
        """See `Credential.authorization`."""
        if not self._principal and not self._may_be_nobody:
            raise CredentialError("it is not known who calls")
        token = await self._tokens.token(giver_of(self._principal))
        if not token and not self._may_be_nobody:
            raise ConsentError(NOT_YET)
        return f"{SCHEME}{token}" if token else ""

    def refused(self, authorization: str, status: int, challenges: Sequence[str], *, again: bool) -> bool:
        """See `Credential.refused`."""
        token = authorization.removeprefix(SCHEME)
        giver = giver_of(self._principal)
        return self._tokens.refused(giver, token, status, read_challenge(challenges), again=again)
