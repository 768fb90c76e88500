"""Every kind of endpoint has a transport, and every transport everything the seam asks for."""

import inspect

import pytest

from actors.connect import connect
from actors.core.endpoints import Endpoint, HttpEndpoint, SseEndpoint, StdioEndpoint, WebSocketEndpoint
from actors.core.settings import BackendSettings
from actors.transports.http_or_sse import HttpOrSseTransport
from actors.transports.memory import MemoryTransport
from actors.transports.sse import SseTransport
from actors.transports.stdio import StdioTransport
from actors.transports.streamable_http import StreamableHttpTransport
from actors.transports.transport import Transport
from actors.transports.websocket import WebSocketTransport

URL = "http://127.0.0.1:9/mcp"
ENDPOINTS: dict[str, tuple[Endpoint, type, bool]] = {
    "stdio": (StdioEndpoint(command="git-mcp"), StdioTransport, False),
    "http": (HttpEndpoint(url=URL), StreamableHttpTransport, True),
    "untyped": (HttpEndpoint(url=URL, sse_fallback=True), HttpOrSseTransport, True),
    "sse": (SseEndpoint(url=URL), SseTransport, False),
    "websocket": (WebSocketEndpoint(url="ws://127.0.0.1:9/mcp"), WebSocketTransport, False),
}
"""Each with its transport, and whether dropping a request cancels it."""


def connected(endpoint: Endpoint) -> Transport:
    return connect(BackendSettings(name="git", endpoint=endpoint))


@pytest.mark.parametrize(("endpoint", "kind", "drop_cancels"), ENDPOINTS.values(), ids=ENDPOINTS)
async def test_an_endpoint_has_the_transport_of_its_kind(endpoint: Endpoint, kind: type, drop_cancels: bool):
    transport = connected(endpoint)

    assert type(transport) is kind
    assert transport.drop_cancels is drop_cancels


@pytest.mark.parametrize("endpoint", [*(endpoint for endpoint, _, _ in ENDPOINTS.values()), None], ids=repr)
async def test_a_transport_has_every_member_with_the_parameters_of_the_seam(endpoint: Endpoint | None):
    transport = MemoryTransport() if endpoint is None else connected(endpoint)

    for name in Transport.__annotations__:
        assert hasattr(transport, name)
    for name, method in inspect.getmembers(Transport, inspect.isfunction):
        if not name.startswith("_"):
            expected = list(inspect.signature(method).parameters)[1:]
            assert list(inspect.signature(getattr(transport, name)).parameters) == expected
