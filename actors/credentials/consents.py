"""A user lets the gateway act for them at one server: begun, finished, dropped. Any replica can go on with what another
one has begun."""

import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from actors.core.consent import ConsentBegun
from actors.core.credential_settings import CredentialSettings
from actors.core.oauth.agreement import agreed, read_agreement, union
from actors.core.oauth.authorization_request import (
    OFFLINE,
    VERIFIER_BYTES,
    authorization_url,
    issuer_fault,
    redirect_fault,
    server_fault,
    verifier_of,
)
from actors.core.oauth.grants import code_form
from actors.core.oauth.metadata import ServerMetadata
from actors.core.tokens.issued import Declined, No
from actors.core.url_guard import UrlGuard
from actors.credentials.agreements import Agreements
from actors.credentials.consent_state import STATE_SECONDS, ConsentState, ConsentStates
from actors.credentials.discovery import TokenPlace
from actors.credentials.keeper import Keeper
from actors.credentials.registrar import Registrar
from actors.credentials.token_endpoint import TokenEndpoint
from actors.credentials.user_tokens import UserTokens
from actors.credentials.whereabouts import Whereabouts
from actors.transports.authorization import CredentialError

MAX_CODE_CHARS: Final = 4096

NOT_OURS: Final = "this was not begun here, or by somebody else, or for another server: begin again"
OVER: Final = "it took too long: begin again"
USED: Final = "this was finished before: begin again if it did not work"
CHANGED: Final = "its authorization server is another one by now: begin again"
FULL: Final = "there is no room for another consent"

log = structlog.get_logger()


class Consents:
    """Of one replica of a backend. `unix` gives Unix seconds."""

    def __init__(
        self,
        settings: CredentialSettings,
        whereabouts: Whereabouts,
        endpoint: TokenEndpoint,
        registrar: Registrar,
        keeper: Keeper,
        agreements: Agreements,
        tokens: UserTokens,
        states: ConsentStates,
        guard: UrlGuard,
        *,
        backend: str,
        unix: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._settings = settings
        self._whereabouts = whereabouts
        self._endpoint = endpoint
        self._registrar = registrar
        self._keeper = keeper
        self._agreements = agreements
        self._tokens = tokens
        self._states = states
        self._guard = guard
        self._backend = backend
        self._unix = unix
        self._random = random

    async def begin(self, principal: str, redirect_uri: str, document_url: str = "") -> ConsentBegun | Declined:
        """See `ConsentDesk.begin`."""
        fault = redirect_fault(redirect_uri)
        if fault:
            return Declined(No.WRONG, fault)
        try:
            return await self._begun(principal, redirect_uri, document_url)
        except (OSError, ValueError) as error:
            return Declined(No.UNKNOWN, str(error))

    async def finish(self, principal: str, state: str, code: str, issuer: str) -> str:
        """See `ConsentDesk.finish`. Rungs, in order:

        1. This principal began it, for this server, at this gateway, and not long ago.
        2. The answer is of the authorization server that was asked.
        3. That is still the one, and the gateway the same client there.
        4. It is done once: a code that is brought twice may end what it gave.
        """
        try:
            opened = await self._states.open(principal, state)
            if opened is None:
                return NOT_OURS
            begun, name = opened
            if self._unix() >= begun.expires_at:
                return OVER
            fault = issuer_fault(begun.issuer, issuer, always=begun.names_issuer)
            if fault or not 0 < len(code) <= MAX_CODE_CHARS:
                return fault or "the answer of its authorization server has no code"
            return await self._finished(principal, begun, name, code)
        except OSError as error:
            return str(error)

    async def drop(self, principal: str) -> str:
        """See `ConsentDesk.drop`."""
        try:
            for issuer in await self._keeper.credential_issuers(principal, self._backend):
                value = await self._keeper.credential(principal, self._backend, issuer)
                await self._keeper.drop_credential(principal, self._backend, issuer)
                await self._revoke(issuer, value)
        except OSError as error:
            return str(error)
        finally:
            self._tokens.forget(principal)
        return ""

    async def has(self, principal: str) -> bool:
        """See `ConsentDesk.has`: to all that the server is known to need.

        Raises:
            CredentialError: it cannot be looked at.
        """
        await self._tokens.noted(principal)
        for issuer in await self._keeper.credential_issuers(principal, self._backend):
            agreement = read_agreement(await self._keeper.credential(principal, self._backend, issuer))
            if agreement is not None and agreement.suffices:
                return True
        return False

    async def _begun(self, principal: str, redirect_uri: str, document_url: str) -> ConsentBegun:
        place, server = await self._asked()
        page = server.authorization_endpoint or ""
        fault = server_fault(server) or self._guard.fault(page)
        if fault:
            raise CredentialError(fault)
        client = await self._registrar.client(place, server, redirect_uri, document_url)
        scopes = await self._scopes(principal, place, server)
        verifier = verifier_of(self._random(VERIFIER_BYTES))
        begun = ConsentState(
            verifier,
            redirect_uri,
            place.issuer,
            server.authorization_response_iss_parameter_supported,
            place.resource,
            client.id,
            scopes,
            self._unix() + STATE_SECONDS,
        )
        state = await self._states.close(principal, begun)
        if state is None:
            raise CredentialError("what it wants to be asked for is too long for a URL")
        url = authorization_url(page, client.id, redirect_uri, verifier, state, place.resource, scopes)
        return ConsentBegun(url, state, place.issuer)

    async def _asked(self) -> tuple[TokenPlace, ServerMetadata]:
        place = await self._whereabouts.fresh_place()
        if place.server is None:
            raise CredentialError("its authorization server has no metadata")
        return place, place.server

    async def _scopes(self, principal: str, place: TokenPlace, server: ServerMetadata) -> tuple[str, ...]:
        """What to ask for: as configured; else what the server needs, and all that this user was asked for before or
        would have had to be (2026-07-28, Step-Up Authorization Flow)."""
        if self._settings.scopes:
            return self._settings.scopes
        await self._tokens.noted(principal)
        before = read_agreement(await self._keeper.credential(principal, self._backend, place.issuer))
        known = () if before is None else (*before.asked, *before.wanted)
        offline = (OFFLINE,) if OFFLINE in (server.scopes_supported or ()) else ()
        return union(place.scopes, known, offline)

    async def _finished(self, principal: str, begun: ConsentState, name: str, code: str) -> str:
        place = await self._whereabouts.place()
        if place.issuer != begun.issuer or place.resource != begun.resource:
            return CHANGED
        client = await self._registrar.known(place, begun.redirect_uri, begun.client_id)
        if client is None:
            return CHANGED
        if not await self._keeper.claim(f"consent {name}", secrets.token_hex(16), STATE_SECONDS):
            return USED
        form = code_form(code, begun.verifier, begun.redirect_uri, begun.resource)
        token = await self._endpoint.ask(place, form, client)
        agreement = agreed(token, self._unix(), resource=begun.resource, client=client, asked=begun.scopes)
        if self._settings.client_id:  # its secret stands in the settings, and only there
            agreement = msgspec.structs.replace(agreement, client=msgspec.structs.replace(client, secret=""))
        value = msgspec.msgpack.encode(agreement)
        if not await self._keeper.put_credential(principal, self._backend, place.issuer, value):
            return FULL
        self._tokens.forget(principal)
        log.info("consent_given", backend=self._backend)
        return ""

    async def _revoke(self, issuer: str, value: bytes | None) -> None:
        """Tell the authorization server, if it wants to hear of it: the tokens are let go of in any case."""
        agreement = read_agreement(value)
        if agreement is None:
            return
        try:
            place = await self._whereabouts.place()
            client = self._agreements.client(agreement, place)
            url = None if place.server is None else place.server.revocation_endpoint
            if place.issuer == issuer and url is not None and client is not None:
                token = agreement.refresh or agreement.access
                revoked = await self._endpoint.revoke(url, place, token, client)
                log.info("consent_dropped", backend=self._backend, revoked=revoked)
        except OSError as error:
            log.warning("consent_not_revoked", backend=self._backend, reason=type(error).__name__)
