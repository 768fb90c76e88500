"""The SDK's own servers over HTTP+SSE and WebSocket, spoken to as a backend does."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from actors.connect import connect
from actors.core.endpoints import Endpoint, HttpEndpoint, SseEndpoint, WebSocketEndpoint
from actors.core.listing import Listing
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from actors.core.settings import BackendSettings
from actors.transports.transport import Transport
from actors.upstream.detect import open_upstream
from actors.upstream.upstream import Upstream
from tests.support.processes import Listening, eventually, listening
from tests.support.recorder import LIMIT
from tests.support.upstreams import ListenerRecorder, tool_call

SERVERS = {
    "sse": ("fixture_sse",),
    "untyped": ("fixture_sse",),
    "sse of both eras": ("fixture_sse", "--era", "both"),
    "websocket": ("fixture_ws",),
}


@contextmanager
def serving(way: str) -> Iterator[Listening]:
    """Start the server."""
    module, *args = SERVERS[way]
    with listening(f"tests.support.{module}", "0", *args) as server:
        yield server


def endpoint_of(way: str, server: Listening) -> Endpoint:
    """How a backend reaches it."""
    if way == "websocket":
        return WebSocketEndpoint(url=f"ws://127.0.0.1:{server.port}/ws")
    url = f"{server.origin}/sse"
    return HttpEndpoint(url=url, sse_fallback=True) if way == "untyped" else SseEndpoint(url=url)


@asynccontextmanager
async def opened(endpoint: Endpoint, lost: list[str]) -> AsyncIterator[Upstream]:
    """A conversation with the server, and its end."""
    transport = connect(BackendSettings(name="old", endpoint=endpoint))
    transport.closed = lost.append

    async def start() -> Transport:
        await transport.connect()
        return transport

    try:
        upstream = await open_upstream(start, "old", lambda message: None, limit=LIMIT)
        yield upstream
        upstream.stop()
    finally:
        await transport.close()


@pytest.mark.parametrize("way", SERVERS)
async def test_a_server_is_detected_listed_and_called_on_one_connection(way: str):
    lost: list[str] = []
    with serving(way) as server:
        async with opened(endpoint_of(way, server), lost) as upstream:
            listing = await upstream.list_everything(Listing())
            listeners = [ListenerRecorder() for _ in range(20)]
            for number, listener in enumerate(listeners):
                upstream.start(tool_call("echo", {"text": f"call {number}"}), listener)
            progress = ListenerRecorder()
            upstream.start(tool_call("progress", {"steps": 3}, wants_progress=True), progress)
            replies = [await listener.outcome() for listener in listeners]
            await progress.outcome()

    assert upstream.facts.era is (Era.MODERN if "both" in way else Era.HANDSHAKE)
    assert "echo" in [tool.identity for tool in listing.tools]
    for number, reply in enumerate(replies):
        assert isinstance(reply, Reply)
        assert b"call %d" % number in reply.body
    assert [params["progress"] for params in progress.progressed] == [1, 2, 3]
    assert lost == []


@pytest.mark.parametrize("way", ["sse", "untyped", "websocket"])
async def test_a_server_that_is_killed_is_missed_at_once(way: str):
    lost: list[str] = []
    with serving(way) as server:
        async with opened(endpoint_of(way, server), lost) as upstream:
            listener = ListenerRecorder()
            upstream.start(tool_call("slow", {"seconds": 60}), listener)
            await upstream.list_everything(Listing())  # by now the call is on its way
            os.kill(server.pid, signal.SIGKILL)
            outcome = await listener.outcome()
            await eventually(lambda: lost)

    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.DISCONNECTED
    assert len(lost) == 1
