"""Chooses the transport of a backend: the one place that knows them all."""

from typing import assert_never

from actors.core.settings import BackendSettings, HttpEndpoint, StdioEndpoint
from actors.transports.stdio import StdioTransport
from actors.transports.streamable_http import StreamableHttpTransport
from actors.transports.transport import Transport


def connect(settings: BackendSettings) -> Transport:
    """A transport to the server of a backend, not yet connected."""
    match settings.endpoint:
        case StdioEndpoint() as endpoint:
            return StdioTransport(endpoint, name=settings.name, max_message_bytes=settings.max_message_bytes)
        case HttpEndpoint() as endpoint:
            return StreamableHttpTransport(endpoint, name=settings.name, max_message_bytes=settings.max_message_bytes)
        case _:
            assert_never(settings.endpoint)
