"""Every kind of endpoint has a transport, and every transport everything the seam asks for."""

import inspect

import pytest

from actors.connect import connect
from actors.core.settings import BackendSettings, Endpoint, HttpEndpoint, StdioEndpoint
from actors.transports.memory import MemoryTransport
from actors.transports.stdio import StdioTransport
from actors.transports.streamable_http import StreamableHttpTransport
from actors.transports.transport import Transport

STDIO = StdioEndpoint(command="git-mcp")
HTTP = HttpEndpoint(url="http://127.0.0.1:9/mcp")


def connected(endpoint: Endpoint) -> Transport:
    return connect(BackendSettings(name="git", endpoint=endpoint))


@pytest.mark.parametrize(
    ("endpoint", "kind"), [(STDIO, StdioTransport), (HTTP, StreamableHttpTransport)], ids=["stdio", "http"]
)
async def test_an_endpoint_has_the_transport_of_its_kind(endpoint: Endpoint, kind: type):
    assert type(connected(endpoint)) is kind


@pytest.mark.parametrize("make", [lambda: connected(STDIO), lambda: connected(HTTP), MemoryTransport])
async def test_a_transport_has_every_member_with_the_parameters_of_the_seam(make):
    transport = make()

    for name in Transport.__annotations__:
        assert hasattr(transport, name)
    for name, method in inspect.getmembers(Transport, inspect.isfunction):
        if not name.startswith("_"):
            expected = list(inspect.signature(method).parameters)[1:]
            assert list(inspect.signature(getattr(transport, name)).parameters) == expected


async def test_only_over_http_does_dropping_a_request_cancel_it():
    assert [make.drop_cancels for make in (connected(STDIO), connected(HTTP), MemoryTransport())] == [
        False,
        True,
        False,
    ]
