import asyncio
import json
from collections.abc import Iterable

import pytest
from aiohttp import web

from actors.core import sse
from actors.core.jsonrpc import Message, notification
from actors.core.outcome import FailureKind
from actors.transports.streamable_http import StreamableHttpTransport
from tests.support.http_servers import (
    PING,
    PROGRESS,
    Naps,
    echo,
    error,
    event_answer,
    json_answer,
    message_id,
    result,
    talking,
)
from tests.support.processes import eventually
from tests.support.recorder import open_request


class SessionServer:
    """Gives sessions, knows the last one, and streams what is put into `events`."""

    def __init__(self, *, streams: int = 0) -> None:
        self.session: str | None = None
        self.streams = streams
        self.seen: list[tuple[str, str | None, str | None]] = []
        self.last_event_ids: list[str | None] = []
        self.events: list[list[bytes]] = []

    async def __call__(self, received: web.Request) -> web.StreamResponse:
        body = json.loads(await received.read() or b"{}")
        named = received.headers.get("Mcp-Session-Id")
        self.seen.append((body.get("method", received.method), named, received.headers.get("MCP-Protocol-Version")))
        if body.get("method") == "initialize":
            self.session = f"session-{len(self.seen)}"
            return json_answer(result(body["id"]), **{"Mcp-Session-Id": self.session})
        if received.method == "GET":
            return await self._stream(received)
        if named != self.session:
            return json_answer(error(None, "Session not found"), 404)
        return web.Response(status=202) if "id" not in body else json_answer(result(body["id"]))

    async def _stream(self, received: web.Request) -> web.StreamResponse:
        self.last_event_ids.append(received.headers.get("Last-Event-ID"))
        if not self.events:
            return web.Response(status=self.streams or 405)
        return await event_answer(received, *self.events.pop(0))


async def handshake(transport: StreamableHttpTransport, number: int = 1) -> None:
    await open_request(transport, number, "initialize").result()
    transport.established("2025-11-25")
    transport.send(notification("notifications/initialized"), {})


async def test_session_and_revision_are_named_after_the_handshake_and_not_before() -> None:
    server = SessionServer()

    async with talking(server) as transport:
        await handshake(transport)
        await open_request(transport, 2, "tools/list").result()
        await transport.close()

    marks = ("session-1", "2025-11-25")
    assert server.seen[:2] == [("initialize", None, None), ("notifications/initialized", *marks)]
    assert sorted(server.seen[2:]) == [("DELETE", *marks), ("GET", *marks), ("tools/list", *marks)]


async def test_requests_opened_after_the_handshake_arrive_after_its_end() -> None:
    order: list[str] = []
    gate = asyncio.Event()

    async def answer(received: web.Request) -> web.StreamResponse:
        if received.method == "GET":
            return web.Response(status=405)
        body = await received.json()
        if "id" not in body:
            await gate.wait()
        order.append(body["method"])
        return await echo(received)

    async with talking(answer) as transport:
        await handshake(transport)
        recorders = [open_request(transport, number, "tools/list") for number in range(2, 12)]
        await asyncio.sleep(0.05)
        gate.set()
        for recorder in recorders:
            await recorder.result()

    assert order == ["initialize", "notifications/initialized", *["tools/list"] * 10]


async def test_a_forgotten_session_is_told_once_before_its_requests_fail_unseen() -> None:
    told: list[int] = []
    server = SessionServer()

    async with talking(server) as transport:
        await handshake(transport)
        await eventually(lambda: not transport._notices._under_way)
        server.session = "another"
        recorders = [open_request(transport, number) for number in range(2, 7)]
        transport.forgotten = lambda: told.append(sum(len(recorder.failures) for recorder in recorders))
        kinds = [(await recorder.failure())[0] for recorder in recorders]

    assert told == [0]
    assert kinds == [FailureKind.UNAVAILABLE] * 5


async def test_after_a_forgotten_session_only_initialize_goes_without_one() -> None:
    server = SessionServer()

    async with talking(server) as transport:
        await handshake(transport)
        await eventually(lambda: not transport._notices._under_way)
        server.session = "another"
        await open_request(transport, 2).failure()
        server.seen.clear()

        early = await open_request(transport, 3).failure()
        await handshake(transport, 4)
        late = await open_request(transport, 5).result()

    assert early[0] is FailureKind.UNAVAILABLE
    assert late == {"text": "ok"}
    assert [entry[1] for entry in server.seen if entry[0] in ("echo", "initialize")] == ["session-1", None, "session-2"]


async def test_without_a_session_404_is_just_a_refusal() -> None:
    told: list[bool] = []
    server = SessionServer()
    server.session = "another"

    async with talking(server) as transport:
        transport.forgotten = lambda: told.append(True)
        recorder = open_request(transport, 1)
        await recorder.ended()

    assert b"Session not found" in bytes(recorder.messages[0].error)
    assert told == []


@pytest.mark.parametrize("offered", ["with space", "x" * 2000, "ä"])
async def test_a_session_id_that_is_none_is_not_named(offered: str) -> None:
    named: list[str | None] = []

    async def answer(received: web.Request) -> web.StreamResponse:
        named.append(received.headers.get("Mcp-Session-Id"))
        response = await echo(received)
        response.headers["Mcp-Session-Id"] = offered
        return response

    async with talking(answer) as transport:
        await handshake(transport)
        await open_request(transport, 2).result()

    assert set(named) == {None}


async def test_the_stream_of_no_request_is_unsolicited_and_goes_on_where_it_ended() -> None:
    heard: list[Message] = []
    naps, server = Naps(), SessionServer()
    changed = notification("notifications/tools/list_changed")
    server.events = [
        [b"retry: 2500\n", sse.event(changed, event_id="a1"), sse.event(result(1))],
        [sse.event(PING, event_id="a2"), sse.event(changed, event="other")],
        [],
        [],
    ]

    async with talking(server, sleep=naps, dice=lambda: 1.0) as transport:
        transport.unsolicited = heard.append
        await handshake(transport)
        await eventually(lambda: transport._listener.done())

    assert [message.method for message in heard] == ["notifications/tools/list_changed", "ping"]
    assert server.last_event_ids == [None, "a1", "a2", "a2", "a2"]
    assert naps.taken == [2.5, 2.5, 2.5, 2.5]


async def test_a_server_without_a_stream_is_left_alone() -> None:
    naps, server = Naps(), SessionServer()

    async with talking(server, sleep=naps) as transport:
        await handshake(transport)
        await eventually(lambda: transport._listener.done())

        assert await open_request(transport, 2).result() == {"text": "ok"}
    assert server.last_event_ids == [None]
    assert naps.taken == []


async def test_a_stream_that_fails_is_fetched_with_growing_bounded_waits() -> None:
    naps = Naps()

    async def answer(received: web.Request) -> web.StreamResponse:
        if received.method == "GET":
            return web.Response(status=503 if len(naps.taken) < 8 else 405)
        return await echo(received)

    async with talking(answer, sleep=naps, dice=lambda: 1.0) as transport:
        await handshake(transport)
        await eventually(lambda: transport._listener.done())

    assert naps.taken == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(("events", "told"), [([], False), ([[sse.event(PING)]], True)])
async def test_404_for_a_stream_means_a_forgotten_session_only_if_there_was_one(
    events: list[list[bytes]], told: bool
) -> None:
    calls: list[bool] = []
    server = SessionServer(streams=404)
    server.events = events

    async with talking(server, sleep=Naps()) as transport:
        transport.forgotten = lambda: calls.append(True)
        await handshake(transport)
        await eventually(lambda: transport._listener.done())

    assert calls == [True] * told


async def broken(received: web.Request, resumed: Iterable[bytes]) -> web.StreamResponse:
    if received.method == "GET":
        return await event_answer(received, *resumed)
    if await message_id(received) == 1:
        return await echo(received)
    return await event_answer(received, b"retry: 300\n", sse.event(PROGRESS, event_id="b1"))


async def test_a_broken_answer_goes_on_where_it_ended() -> None:
    naps, ids = Naps(), []

    async def answer(received: web.Request) -> web.StreamResponse:
        last_event_id = received.headers.get("Last-Event-ID")
        if received.method == "GET":
            ids.append(last_event_id)
        more = {"b1": [sse.event(PING, event_id="b2")], "b2": [sse.event(result(2))]}
        return await broken(received, more.get(last_event_id or "", []))

    async with talking(answer, sleep=naps) as transport:
        await open_request(transport, 1, "initialize").result()
        transport.established("2025-11-25")
        transport._listener.cancel()
        recorder = open_request(transport, 2)

        assert await recorder.result() == {"text": "ok"}
    assert [message.method for message in recorder.messages] == ["notifications/progress", "ping", None]
    assert ids == ["b1", "b2"]
    assert naps.taken == [0.3, 0.3]


async def test_a_broken_answer_that_stays_broken_is_given_up() -> None:
    fetched = 0

    async def answer(received: web.Request) -> web.StreamResponse:
        nonlocal fetched
        fetched += received.method == "GET" and "Last-Event-ID" in received.headers
        return await broken(received, [])

    async with talking(answer, sleep=Naps()) as transport:
        await open_request(transport, 1, "initialize").result()
        transport.established("2025-11-25")
        transport._listener.cancel()
        kind, _ = await open_request(transport, 2).failure()

    assert kind is FailureKind.DISCONNECTED
    assert fetched == 5


async def test_a_broken_answer_of_the_modern_era_is_lost() -> None:
    methods: list[str] = []

    async def answer(received: web.Request) -> web.StreamResponse:
        methods.append(received.method)
        return await broken(received, [])

    async with talking(answer) as transport:
        kind, _ = await open_request(transport, 2).failure()

    assert kind is FailureKind.DISCONNECTED
    assert methods == ["POST"]
