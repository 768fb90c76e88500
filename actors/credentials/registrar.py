"""As which client the gateway sends users to an authorization server."""

import secrets
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from actors.core.credential_settings import CredentialSettings
from actors.core.oauth.client import NO_PROOF, Client
from actors.core.oauth.metadata import ServerMetadata
from actors.core.oauth.registration import (
    Registration,
    chosen_method,
    client_document,
    read_registered,
    read_registration,
)
from actors.core.url_guard import is_loopback
from actors.credentials.discovery import TokenPlace
from actors.credentials.fetching import Fetch
from actors.credentials.keeper import Keeper
from actors.credentials.token_endpoint import TokenEndpoint
from actors.transports.authorization import CredentialError

CLAIM_SECONDS: Final = 30.0
"""For one registration: two at once would be two clients."""

log = structlog.get_logger()


class Registrar:
    """Of one backend. What is registered is kept in the Vault beside the consents, under nobody's name."""

    def __init__(
        self,
        settings: CredentialSettings,
        endpoint: TokenEndpoint,
        fetch: Fetch,
        keeper: Keeper,
        *,
        backend: str,
        new_holder: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        """`new_holder` gives a name for each claim that nobody else has."""
        self._settings = settings
        self._endpoint = endpoint
        self._fetch = fetch
        self._keeper = keeper
        self._backend = backend
        self._new_holder = new_holder

    async def client(self, place: TokenPlace, server: ServerMetadata, redirect_uri: str, document_url: str) -> Client:
        """The client for this way back. Rungs, in order (2025-11-25, Client Registration Approaches):

        1. The one of the settings.
        2. The URL of a document about the gateway, if there is one and it is taken there.
        3. One that was registered before, or is now.

        Raises:
            CredentialError: there is none, and how to get one.
            OSError: somebody could not be asked.
        """
        if self._settings.client_id:
            return self._endpoint.configured(place)
        takes_none = NO_PROOF in place.methods
        if document_url.startswith("https://") and server.client_id_metadata_document_supported and takes_none:
            return Client(document_url)
        return await self._kept(place, redirect_uri) or await self._registered(place, server, redirect_uri)

    async def known(self, place: TokenPlace, redirect_uri: str, client_id: str) -> Client | None:
        """The client that was given out for a way back, and how it proves itself; nothing if it is another by now."""
        if self._settings.client_id:
            return self._endpoint.configured(place) if client_id == self._settings.client_id else None
        kept = await self._kept(place, redirect_uri)
        if kept is not None and kept.id == client_id:
            return kept
        return Client(client_id) if client_id.startswith("https://") else None

    async def _kept(self, place: TokenPlace, redirect_uri: str) -> Client | None:
        value = await self._keeper.credential("", self._slot(redirect_uri), place.issuer)
        registration = None if value is None else read_registration(value)
        fits = registration is not None and registration.redirect_uri == redirect_uri
        return registration.client if registration is not None and fits else None

    async def _registered(self, place: TokenPlace, server: ServerMetadata, redirect_uri: str) -> Client:
        if server.registration_endpoint is None:
            raise CredentialError("its authorization server must be told of the gateway by hand: configure `client_id`")
        key, holder = ("", self._slot(redirect_uri), place.issuer), self._new_holder()
        if not await self._keeper.claim_credential(*key, holder, CLAIM_SECONDS):
            raise CredentialError("the gateway is just introducing itself to its authorization server; try again")
        method = chosen_method(place.methods)
        document = msgspec.json.encode(client_document((redirect_uri,), method=method))
        value: bytes | None = None
        try:
            answer = await self._fetch(server.registration_endpoint, json=document)
            if answer.status not in (200, 201):
                raise CredentialError(f"its authorization server does not register the gateway ({answer.status})")
            client = read_registered(answer.body, method)
            value = msgspec.msgpack.encode(Registration(client, redirect_uri))
        except ValueError as error:
            raise CredentialError(str(error)) from None
        finally:
            kept = await self._keeper.settle_credential(*key, holder, value)
        if not kept:
            raise CredentialError("what its authorization server gave the gateway could not be kept; try again")
        log.info("registered_at_authorization_server", backend=self._backend, method=client.method)
        return client

    def _slot(self, redirect_uri: str) -> str:
        """One place for the gateway's own way back, and one for that of whoever connects from a command last."""
        return f"{self._backend} client {'loopback' if is_loopback(redirect_uri) else 'public'}"
