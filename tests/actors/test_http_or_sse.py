"""A URL without a type: streamable HTTP, unless the server refuses `initialize` there and gives the older stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from actors.connect import connect
from actors.core.endpoints import HttpEndpoint
from actors.core.outcome import FailureKind
from actors.core.settings import BackendSettings
from actors.transports.transport import Transport
from tests.support.http_servers import Handler, echo, error, json_answer, serving
from tests.support.processes import eventually
from tests.support.recorder import open_request
from tests.support.sse_servers import MESSAGES, SseServer


@asynccontextmanager
async def untyped(handler: Handler) -> AsyncIterator[Transport]:
    """What a backend with a URL and no type connects with, connected."""
    async with serving(handler) as url:
        transport = connect(BackendSettings(name="web", endpoint=HttpEndpoint(url=url, sse_fallback=True)))
        try:
            await transport.connect()
            yield transport
        finally:
            await transport.close()


class OlderServer(SseServer):
    """Takes messages at the URL it names only, and refuses them at the URL of the stream."""

    def __init__(self, status: int = 405, endpoint: str | None = MESSAGES) -> None:
        super().__init__(endpoint)
        self.refused = 0
        self._status = status

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST" and request.path == "/mcp":
            self.refused += 1
            return web.Response(status=self._status)
        return await super().answer(request)


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_a_server_that_takes_no_initialize_there_is_spoken_to_over_its_stream(status: int):
    server = OlderServer(status)
    lost: list[str] = []
    async with untyped(server.answer) as transport:
        transport.closed = lost.append
        discover, initialize = open_request(transport, 1, "server/discover"), open_request(transport, 2, "initialize")
        await discover.failure()
        await eventually(lambda: server.posted)
        server.say({"jsonrpc": "2.0", "id": 2, "result": {}}, {"jsonrpc": "2.0", "id": 3, "result": {}})
        await initialize.result()
        call = open_request(transport, 4)
        await eventually(lambda: len(server.posted) == 2)
        server.end()

        assert await call.failure() == (FailureKind.DISCONNECTED, "its stream ended")
        assert not transport.drop_cancels

    assert [message["method"] for message in server.posted] == ["initialize", "echo"]
    assert (server.refused, lost) == (2, ["its stream ended"])


async def test_a_server_that_has_neither_is_told_apart():
    server = OlderServer(404, endpoint=None)
    server.end()
    async with untyped(server.answer) as transport:
        initialize = open_request(transport, 1, "initialize")

        kind, detail = await initialize.failure()

    assert kind is FailureKind.PROTOCOL
    assert detail == "it answered HTTP 404, and has no HTTP+SSE there either: its stream ended"


@pytest.mark.parametrize(
    "refusal", [lambda: json_answer(error(1, "no"), status=400), lambda: web.Response(status=500)], ids=["rpc", "500"]
)
async def test_another_refusal_is_an_answer_and_no_reason_to_ask_for_a_stream(refusal):
    methods: list[str] = []

    async def refuse(request: web.Request) -> web.StreamResponse:
        methods.append(request.method)
        return refusal()

    async with untyped(refuse) as transport:
        await open_request(transport, 1, "initialize").ended()

    assert methods == ["POST"]


async def test_what_once_spoke_streamable_http_is_not_asked_for_a_stream_later():
    seen: list[str] = []

    async def refuse_the_second(request: web.Request) -> web.StreamResponse:
        seen.append(request.method)
        return await echo(request) if len(seen) == 1 else web.Response(status=405)

    async with untyped(refuse_the_second) as transport:
        await open_request(transport, 1, "initialize").result()
        second = open_request(transport, 2, "initialize")

        assert await second.failure() == (FailureKind.PROTOCOL, "it answered HTTP 405")

    assert seen == ["POST", "POST"]


async def test_a_close_while_the_stream_is_awaited_fails_the_request_once():
    server = OlderServer(endpoint=None)
    async with untyped(server.answer) as transport:
        initialize = open_request(transport, 1, "initialize")
        await eventually(lambda: server.requests)

        await asyncio.gather(transport.close(), transport.close())

    assert initialize.kinds == [FailureKind.DISCONNECTED]


async def test_a_request_dropped_while_the_stream_is_awaited_hears_nothing():
    server = OlderServer(endpoint=None)
    async with untyped(server.answer) as transport:
        initialize = open_request(transport, 1, "initialize")
        await eventually(lambda: server.requests)
        transport.drop(1)
        server.write(b"event: endpoint\ndata: /messages\n\n")
        discover = open_request(transport, 2, "server/discover")
        await discover.failure()

    assert initialize.messages == initialize.failures == []
    assert server.posted == []
