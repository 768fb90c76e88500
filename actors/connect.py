"""Chooses the transport of a backend: the one place that knows them all."""

from typing import assert_never

from actors.core.endpoints import HttpEndpoint, SseEndpoint, StdioEndpoint, WebSocketEndpoint
from actors.core.settings import BackendSettings
from actors.transports.http_or_sse import HttpOrSseTransport
from actors.transports.sse import SseTransport
from actors.transports.stdio import StdioTransport
from actors.transports.streamable_http import StreamableHttpTransport
from actors.transports.transport import Transport
from actors.transports.websocket import WebSocketTransport


def connect(settings: BackendSettings) -> Transport:
    """A transport to the server of a backend, not yet connected."""
    name, max_message_bytes = settings.name, settings.max_message_bytes
    match settings.endpoint:
        case StdioEndpoint() as endpoint:
            return StdioTransport(endpoint, name=name, max_message_bytes=max_message_bytes)
        case HttpEndpoint() as endpoint:
            http = StreamableHttpTransport(endpoint, name=name, max_message_bytes=max_message_bytes)
            if not endpoint.sse_fallback:
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
