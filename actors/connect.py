"""Chooses the transport of a backend: the one place that knows them all."""

from functools import partial
from typing import NamedTuple, assert_never

from actors.conversation import Connect, ConnectAs
from actors.core.credential_settings import CredentialKind, CredentialSettings
from actors.core.endpoints import HttpEndpoint, SseEndpoint, StdioEndpoint, WebSocketEndpoint
from actors.core.settings import BackendSettings
from actors.core.url_guard import UrlGuard
from actors.credentials.agreements import Agreements
from actors.credentials.consent_state import ConsentStates
from actors.credentials.consents import Consents
from actors.credentials.discovery import Discovery
from actors.credentials.fetching import GuardedFetch
from actors.credentials.keeper import Keeper
from actors.credentials.registrar import Registrar
from actors.credentials.token_endpoint import TokenEndpoint
from actors.credentials.token_source import Subjects, TokenSource
from actors.credentials.user_tokens import UserTokens
from actors.credentials.whereabouts import Whereabouts
from actors.transports.authorization import Credential
from actors.transports.http_or_sse import HttpOrSseTransport
from actors.transports.sse import SseTransport
from actors.transports.stdio import StdioTransport
from actors.transports.streamable_http import StreamableHttpTransport
from actors.transports.transport import Transport
from actors.transports.websocket import WebSocketTransport


def token_source(settings: BackendSettings, subjects: Subjects | None = None) -> TokenSource | None:
    """The tokens for the server of a backend; nothing if it wants none, or users have their own. `subjects` is as for
    `TokenSource`."""
    auth, endpoint, name = settings.auth, settings.endpoint, settings.name
    if auth is None or auth.kind is CredentialKind.USER or not isinstance(endpoint, HttpEndpoint):
        return None
    fetch = GuardedFetch(_guard(auth, endpoint.url))
    discovery = Discovery(auth, endpoint.url, fetch)
    return TokenSource(auth, discovery, TokenEndpoint(auth, fetch, backend=name), subjects, backend=name)


class Connections(NamedTuple):
    """How to connect to the server of a backend. All connections share the tokens."""

    connect: Connect
    """As the gateway."""
    connect_as: ConnectAs | None = None
    """As each principal, where they have tokens of their own."""
    consents: Consents | None = None
    """How they come by them, where it is they who decide on it."""


def connections(settings: BackendSettings, subjects: Subjects, keeper: Keeper) -> Connections:
    """All that there are. `keeper` keeps the tokens of users."""
    auth, endpoint = settings.auth, settings.endpoint
    if auth is not None and auth.kind is CredentialKind.USER and isinstance(endpoint, HttpEndpoint):
        return _connections_of_users(auth, endpoint.url, settings.name, keeper)
    source = token_source(settings, subjects)
    if source is None or auth is None:
        return Connections(connect)
    shared = partial(connect, credential=source.of(""))
    if not auth.is_per_principal:
        return Connections(shared)
    return Connections(shared, lambda principal: partial(connect, credential=source.of(principal)))


def _connections_of_users(auth: CredentialSettings, url: str, backend: str, keeper: Keeper) -> Connections:
    guard = _guard(auth, url)
    fetch = GuardedFetch(guard)
    whereabouts = Whereabouts(Discovery(auth, url, fetch), fetch, url)
    tokens_at = TokenEndpoint(auth, fetch, backend=backend)
    agreements = Agreements(auth, whereabouts, tokens_at, keeper, backend=backend)
    tokens = UserTokens(auth, whereabouts, agreements, backend=backend)
    registrar = Registrar(auth, tokens_at, fetch, keeper, backend=backend)
    states = ConsentStates(keeper, backend)
    consents = Consents(
        auth, whereabouts, tokens_at, registrar, keeper, agreements, tokens, states, guard, backend=backend
    )
    return Connections(
        partial(connect, credential=tokens.for_lists()),
        lambda principal: partial(connect, credential=tokens.of(principal)),
        consents,
    )


def _guard(auth: CredentialSettings, url: str) -> UrlGuard:
    """What the configuration names is trusted."""
    return UrlGuard(each for each in (url, auth.token_url, auth.issuer) if each is not None)


def connect(settings: BackendSettings, credential: Credential | None = None) -> Transport:
    """A transport to the server of a backend, not yet connected.

    Where the server wants tokens, `credential` has them; without it, the transport asks for its own as the gateway.
    """
    name, max_message_bytes = settings.name, settings.max_message_bytes
    match settings.endpoint:
        case StdioEndpoint() as endpoint:
            return StdioTransport(endpoint, name=name, max_message_bytes=max_message_bytes)
        case HttpEndpoint() as endpoint:
            if credential is None and (source := token_source(settings)) is not None:
                credential = source.of("")
            http = StreamableHttpTransport(
                endpoint, name=name, max_message_bytes=max_message_bytes, credential=credential
            )
            if not endpoint.sse_fallback or credential is not None:
                return http
            older = SseEndpoint(url=endpoint.url, headers=endpoint.headers)
            sse = SseTransport(older, name=name, max_message_bytes=max_message_bytes)
            return HttpOrSseTransport(http, sse, name=name)
        case SseEndpoint() as endpoint:
            return SseTransport(endpoint, name=name, max_message_bytes=max_message_bytes)
        case WebSocketEndpoint() as endpoint:
            return WebSocketTransport(endpoint, name=name, max_message_bytes=max_message_bytes)
        case _:
            assert_never(settings.endpoint)
