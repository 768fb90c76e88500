"""Chooses the transport of a backend: the one place that knows them all."""

from functools import partial
from typing import assert_never

from actors.conversation import Connect, ConnectAs
from actors.core.endpoints import HttpEndpoint, SseEndpoint, StdioEndpoint, WebSocketEndpoint
from actors.core.settings import BackendSettings
from actors.core.url_guard import UrlGuard
from actors.credentials.discovery import Discovery
from actors.credentials.fetching import GuardedFetch
from actors.credentials.token_endpoint import TokenEndpoint
from actors.credentials.token_source import Subjects, TokenSource
from actors.transports.authorization import Credential
from actors.transports.http_or_sse import HttpOrSseTransport
from actors.transports.sse import SseTransport
from actors.transports.stdio import StdioTransport
from actors.transports.streamable_http import StreamableHttpTransport
from actors.transports.transport import Transport
from actors.transports.websocket import WebSocketTransport


def token_source(settings: BackendSettings, subjects: Subjects | None = None) -> TokenSource | None:
    """The tokens for the server of a backend; nothing if it wants none. `subjects` is as for `TokenSource`."""
    auth, endpoint, name = settings.auth, settings.endpoint, settings.name
    if auth is None or not isinstance(endpoint, HttpEndpoint):
        return None
    fetch = GuardedFetch(UrlGuard(url for url in (endpoint.url, auth.token_url, auth.issuer) if url is not None))
    discovery = Discovery(auth, endpoint.url, fetch)
    return TokenSource(auth, discovery, TokenEndpoint(auth, fetch, backend=name), subjects, backend=name)


def connections(settings: BackendSettings, subjects: Subjects) -> tuple[Connect, ConnectAs | None]:
    """How to connect to the server of a backend as the gateway, and as each principal where they have tokens of their
    own. All these connections share the tokens."""
    source = token_source(settings, subjects)
    if source is None or settings.auth is None:
        return connect, None
    if not settings.auth.is_per_principal:
        return partial(connect, credential=source.of("")), None
    return partial(connect, credential=source.of("")), lambda principal: partial(
        connect, credential=source.of(principal)
    )


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
