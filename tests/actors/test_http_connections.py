import asyncio
import gzip
import json
import os
import socket
import tracemalloc
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from actors.core import sse
from actors.core.jsonrpc import Message, notification, request
from actors.core.outcome import FailureKind
from actors.transports.http_notices import MAX_SENDS
from tests.support.http_servers import (
    HEAD,
    MIB,
    PROGRESS,
    Naps,
    answering,
    connected,
    conversing,
    echo,
    event_answer,
    json_answer,
    message_id,
    only_outcome,
    read_request,
    result,
    serving,
    talking,
)
from tests.support.processes import eventually, free_port
from tests.support.recorder import LIMIT, Recorder, open_request

# Connections that are not made, or break


async def test_a_refused_connection_is_unavailable() -> None:
    async with connected(f"http://127.0.0.1:{free_port()}/mcp") as transport:
        kind, detail = await open_request(transport, 1).failure()

    assert kind is FailureKind.UNAVAILABLE
    assert detail.startswith("cannot connect to http://127.0.0.1:")


async def test_a_server_without_the_expected_encryption_is_unavailable() -> None:
    async with serving(echo) as url, connected(url.replace("http:", "https:")) as transport:
        kind, _ = await open_request(transport, 1).failure()

    assert kind is FailureKind.UNAVAILABLE


@pytest.mark.parametrize(
    "said",
    [b"", HEAD, HEAD + b'Content-Length: 50\r\n\r\n{"jsonrpc"', HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":'],
)
async def test_a_connection_that_dies_after_the_request_is_disconnected(said: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(said)
        await writer.drain()

    async with conversing(talk) as url, connected(url) as transport:
        kind, _ = await open_request(transport, 1).failure()

    assert kind is FailureKind.DISCONNECTED


async def test_a_connection_that_was_closed_while_we_were_busy_is_not_used_again() -> None:
    writers: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while True:
            number = json.loads(await read_request(reader))["id"]
            body = result(number)
            writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async with conversing(talk) as url, connected(url) as transport:
        await open_request(transport, 1).result()
        with socket.socket(fileno=os.dup(writers[0].get_extra_info("socket").fileno())) as server_end:
            server_end.shutdown(socket.SHUT_RDWR)
        second = open_request(transport, 2)  # in the same tick: the loop has not seen the close yet

        assert await second.result() == {"text": "ok"}
    assert len(writers) == 2


@pytest.mark.parametrize("streamed", [False, True])
async def test_one_connection_serves_many_requests(streamed: bool) -> None:
    peers: set[Any] = set()

    async def answer(received: web.Request) -> web.StreamResponse:
        assert received.transport is not None
        peers.add(received.transport.get_extra_info("peername"))
        return await (answering(result(await message_id(received))) if streamed else echo)(received)

    async with talking(answer) as transport:
        for number in range(20):
            await open_request(transport, number).result()
            await eventually(lambda: not transport._tasks)

    assert len(peers) == 1


async def test_a_stream_that_ends_soon_after_its_response_leaves_its_connection_for_others() -> None:
    peers: set[Any] = set()
    answered = asyncio.Event()

    async def answer(received: web.Request) -> web.StreamResponse:
        assert received.transport is not None
        peers.add(received.transport.get_extra_info("peername"))
        response = await event_answer(received, sse.event(result(await message_id(received))))
        await answered.wait()
        return response

    async with talking(answer) as transport:
        await open_request(transport, 1).result()
        answered.set()
        await eventually(lambda: not transport._tasks)
        await open_request(transport, 2).result()

    assert len(peers) == 1


async def test_a_stream_left_open_after_its_response_costs_its_connection_only() -> None:
    left: list[bool] = []
    methods: list[str] = []

    async def answer(received: web.Request) -> web.StreamResponse:
        methods.append(received.method)
        if received.method == "GET":
            return web.Response(status=405)
        await event_answer(received, sse.event(result(1), event_id="c1"))
        try:
            await asyncio.Event().wait()
        finally:
            left.append(True)
        raise AssertionError

    async with talking(answer, sleep=Naps()) as transport:
        transport.established("2025-11-25")
        recorder = open_request(transport, 1)

        assert await recorder.result() == {"text": "ok"}
        await eventually(lambda: left and not transport._tasks)
    assert recorder.failures == []
    assert sorted(methods) == ["GET", "POST"]  # the one for unsolicited messages, and none to resume


async def test_the_environment_names_no_proxy_for_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")

    assert await (await only_outcome(echo)).result() == {"text": "answer 1"}


async def test_cookies_are_not_kept() -> None:
    seen: list[str | None] = []

    async def answer(received: web.Request) -> web.StreamResponse:
        seen.append(received.headers.get("Cookie"))
        response = json_answer(result(await message_id(received)))
        response.set_cookie("tracked", "yes")
        return response

    async with serving(answer) as url, connected(url.replace("127.0.0.1", "localhost")) as transport:
        for number in (1, 2):
            await open_request(transport, number).result()

    assert seen == [None, None]


async def test_a_header_that_cannot_be_written_fails_its_request_alone() -> None:
    async with talking(echo) as transport:
        recorder = Recorder()
        transport.open(1, request(1, "tools/call", b"{}"), {"Mcp-Name": "sesame\r\nX-Evil: 1"}, recorder)
        kind, detail = await recorder.failure()

        assert await open_request(transport, 2).result() == {"text": "answer 2"}
    assert kind is FailureKind.UNSUPPORTED
    assert "sesame" not in detail


# Limits


async def test_an_announced_body_over_the_limit_is_not_read() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b"Content-Length: 104857600\r\n\r\n")  # and not a byte of it
        await reader.read()

    async with conversing(talk) as url, connected(url) as transport:
        kind, _ = await open_request(transport, 1).failure()

    assert kind is FailureKind.TOO_LARGE


@pytest.mark.parametrize("media", ["application/json", "text/event-stream"])
async def test_a_hundred_megabytes_are_refused_at_the_limit(media: str) -> None:
    sent = 0

    async def answer(received: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": media})
        await response.prepare(received)
        await response.write(b'data: {"a": "')
        for _ in range(1600):
            await response.write(b"x" * 65536)
            sent += 65536
        return response

    recorder = await only_outcome(answer)

    assert recorder.kinds == [FailureKind.TOO_LARGE]
    assert sent < 20 * MIB  # the limit, and what the buffers of two sockets hold


async def test_a_compressed_bomb_is_refused_at_the_limit() -> None:
    bomb = gzip.compress(b" " * 100 * MIB)

    async def answer(_: web.Request) -> web.StreamResponse:
        return json_answer(bomb, **{"Content-Encoding": "gzip"})

    tracemalloc.start()
    try:
        recorder = await only_outcome(answer)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert recorder.kinds == [FailureKind.TOO_LARGE]
    assert peak < 10 * MIB


async def test_requests_over_the_pool_wait_unsent() -> None:
    at_once, most = 0, 0
    full = asyncio.Event()

    async def answer(received: web.Request) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if most == 3:
            full.set()
        await full.wait()
        await asyncio.sleep(0.01)  # time for one too many
        at_once -= 1
        return await echo(received)

    async with talking(answer, pool_size=3) as transport:
        for recorder in [open_request(transport, number) for number in range(20)]:
            await recorder.result()

    assert most == 3


async def test_requests_over_the_limit_are_refused_at_once() -> None:
    async with talking(echo, max_open=2) as transport:
        recorders = [open_request(transport, number) for number in range(3)]

        assert recorders[2].kinds == [FailureKind.BUSY]
        assert await recorders[1].result() == {"text": "answer 1"}
        await recorders[0].ended()
        assert await open_request(transport, 3).result() == {"text": "answer 3"}


# Dropping and closing


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_dropped_request_closes_its_connection(streamed: bool) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def answer(received: web.Request) -> web.StreamResponse:
        if streamed:
            await event_answer(received, sse.event(PROGRESS))
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    async with talking(answer) as transport:
        recorder = open_request(transport, 1)
        await asyncio.wait_for(arrived.wait(), LIMIT)
        await eventually(lambda: not streamed or recorder.messages)

        transport.drop(1)
        transport.drop(1)

        await asyncio.wait_for(left.wait(), LIMIT)
    assert len(recorder.messages) == streamed
    assert recorder.failures == []


async def test_a_sink_that_drops_its_own_request_hears_nothing_more() -> None:
    class Leaving(Recorder):
        def message(self, message: Message) -> None:
            super().message(message)
            transport.drop(1)

    async with talking(answering(PROGRESS, PROGRESS, result(1))) as transport:
        recorder = Leaving()
        transport.open(1, request(1, "tools/call", b"{}"), {}, recorder)
        await eventually(lambda: recorder.messages)
        await eventually(lambda: not transport._tasks)

    assert len(recorder.messages) == 1
    assert recorder.failures == []


async def test_close_fails_what_is_open_within_a_few_seconds_and_leaves_nothing() -> None:
    async def answer(received: web.Request) -> web.StreamResponse:
        if received.method == "POST":
            await event_answer(received)
        await asyncio.Event().wait()
        raise AssertionError

    async with talking(answer) as transport:
        transport.established("2025-11-25")
        recorders = [open_request(transport, number) for number in range(5)]
        transport.send(notification("notifications/cancelled"), {})

        await asyncio.wait_for(transport.close(), 5)

    assert [recorder.kinds for recorder in recorders] == [[FailureKind.DISCONNECTED]] * 5
    assert not transport._tasks
    assert open_request(transport, 9).kinds == [FailureKind.UNAVAILABLE]


async def test_close_fails_what_was_opened_in_the_same_tick() -> None:
    async with talking(echo) as transport:
        recorder = open_request(transport, 1)
        await transport.close()

    assert recorder.kinds == [FailureKind.DISCONNECTED]


# Notifications and answers of ours


async def test_what_is_sent_does_not_wait_for_calls_that_hold_every_connection() -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def answer(received: web.Request) -> web.StreamResponse:
        number = await message_id(received)
        if number == 7:
            answered.set()
            return web.Response(status=202)
        asked.set()
        await answered.wait()
        return json_answer(result(number))

    async with talking(answer, pool_size=1) as transport:
        recorder = open_request(transport, 1)
        await asyncio.wait_for(asked.wait(), LIMIT)
        transport.send(result(7), {})

        assert await recorder.result() == {"text": "ok"}


async def test_sends_that_nobody_takes_are_bounded() -> None:
    taken = 0
    gate = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal taken
        taken += 1
        await gate.wait()
        return web.Response(status=202)

    async with talking(answer) as transport:
        with capture_logs() as logs:
            for _ in range(MAX_SENDS + 3):
                transport.send(PROGRESS, {})
        gate.set()
        await eventually(lambda: taken == MAX_SENDS)
        await eventually(lambda: not transport._tasks)
        transport.send(PROGRESS, {})
        await eventually(lambda: taken == MAX_SENDS + 1)

    assert [entry["event"] for entry in logs] == ["send_dropped"] * 3


async def test_a_send_that_fails_is_logged_and_forgotten() -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=400)

    with capture_logs() as logs:
        async with talking(refuse) as refused:
            refused.send(PROGRESS, {})
            await eventually(lambda: not refused._tasks)
        async with connected(f"http://127.0.0.1:{free_port()}/mcp") as nowhere:
            nowhere.send(PROGRESS, {})
            await eventually(lambda: not nowhere._tasks)

    assert [entry["event"] for entry in logs] == ["send_refused", "send_failed"]
