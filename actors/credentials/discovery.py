"""Finds out where tokens for a server are asked for: as configured, or from the server and its authorization server."""

from collections.abc import Iterable
from dataclasses import dataclass

from actors.core.credential_settings import CredentialSettings
from actors.core.oauth.challenge import Challenge
from actors.core.oauth.client import BASIC
from actors.core.oauth.metadata import (
    ResourceMetadata,
    ServerMetadata,
    canonical_resource,
    read_resource,
    read_server,
    resource_urls,
    server_urls,
)
from actors.credentials.fetching import Fetch, Fetched
from actors.transports.authorization import CredentialError


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Where, for what, and how."""

    url: str
    issuer: str
    """Whom a signature of the client is for."""
    methods: tuple[str, ...]
    """How a client may prove itself there (RFC 8414, `token_endpoint_auth_methods_supported`)."""
    resource: str
    scopes: tuple[str, ...]
    server: ServerMetadata | None = None
    """What the authorization server says of itself, if it was asked."""


class Discovery:
    """Of one server."""

    def __init__(self, settings: CredentialSettings, server_url: str, fetch: Fetch) -> None:
        self._settings = settings
        self._server_url = server_url
        self._fetch = fetch

    async def find(self, challenge: Challenge) -> TokenPlace:
        """The place, as the server's last challenge and the settings have it. Rungs, in order:

        1. A configured `token_url` is the place.
        2. The server names its authorization servers (RFC 9728); a configured `issuer` must be one of them, if it does.
        3. The metadata of that authorization server names the place (RFC 8414).

        Raises:
            CredentialError: nobody says where, or not in a form that can be trusted.
            OSError: somebody could not be asked.
        """
        settings = self._settings
        if settings.token_url is not None:
            resource = settings.resource or canonical_resource(self._server_url)
            scopes = settings.scopes or challenge.scopes
            return TokenPlace(settings.token_url, settings.token_url, (BASIC,), resource, scopes)
        try:
            said = await self._resource(challenge)
            issuer = self._issuer(said)
            server = await self._server(issuer)
        except ValueError as error:
            raise CredentialError(str(error)) from None
        named = canonical_resource(self._server_url) if said is None else said.resource
        supported = () if said is None else said.scopes_supported
        return TokenPlace(
            server.token_endpoint,
            server.issuer,
            server.token_endpoint_auth_methods_supported,
            settings.resource or named,
            settings.scopes or challenge.scopes or supported,
            server,
        )

    def _issuer(self, said: ResourceMetadata | None) -> str:
        wanted, named = self._settings.issuer, () if said is None else said.authorization_servers
        if wanted is None:
            if not named:
                raise ValueError("it does not say who gives tokens for it: configure `issuer` or `token_url`")
            return named[0]
        if named and wanted.rstrip("/") not in {each.rstrip("/") for each in named}:
            raise ValueError("it names other authorization servers than the configured `issuer`")
        return next((each for each in named if each.rstrip("/") == wanted.rstrip("/")), wanted)

    async def _resource(self, challenge: Challenge) -> ResourceMetadata | None:
        named = challenge.resource_metadata
        answer = await self._first(resource_urls(self._server_url) if named is None else (named,))
        if answer is None and named is not None:
            raise ValueError("what it says of itself is not where it says")
        return None if answer is None else read_resource(answer.body, self._server_url)

    async def _server(self, issuer: str) -> ServerMetadata:
        answer = await self._first(server_urls(issuer))
        if answer is None:
            raise ValueError("its authorization server has no metadata")
        return read_server(answer.body, issuer)

    async def _first(self, urls: Iterable[str]) -> Fetched | None:
        for url in urls:
            answer = await self._fetch(url)
            if answer.status == 200:
                return answer
        return None
