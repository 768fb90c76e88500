"""WebSocket: a message a text frame, what cannot be written is refused, and a peer that vanished is noticed."""

import asyncio
import json

import pytest
from aiohttp import WSMsgType, web

from actors.core.jsonrpc import Message, notification
from actors.core.outcome import FailureKind
from tests.support.http_servers import conversing, serving
from tests.support.processes import eventually
from tests.support.recorder import open_request
from tests.support.ws_servers import WsServer, connected_to, upgrade, ws_to

SECRET = "s3cr3t-value"
NOTICE = notification("notifications/cancelled")


def response(number: int, text: str = "ok") -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "result": {"text": text}}


async def refusal_of(url: str, **options: object) -> str:
    """Why a transport to this URL does not connect."""
    transport = ws_to(url, **options)
    try:
        await transport.connect()
    except OSError as error:
        return str(error)
    finally:
        await transport.close()
    raise AssertionError("it connected")


async def test_one_message_is_one_text_frame_and_the_subprotocol_is_offered():
    server = WsServer()
    async with connected_to(server.answer, headers={"X-Key": SECRET}) as transport:
        recorder = open_request(transport, 1)
        transport.send(NOTICE, {})
        await eventually(lambda: len(server.heard) == 2)
        await server.say(response(1))

        assert await recorder.result() == {"text": "ok"}

    assert [message["method"] for message in server.heard] == ["echo", "notifications/cancelled"]
    (request,) = server.requests
    assert (request.headers["Sec-WebSocket-Protocol"], request.headers["X-Key"]) == ("mcp", SECRET)


async def test_the_server_is_told_that_the_connection_ends():
    server = WsServer()
    async with connected_to(server.answer):
        pass

    await eventually(lambda: server.socket is not None and server.socket.close_code == 1000)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (web.Response(status=403), "it refused our credentials (403)"),
        (web.Response(status=404), "it answered HTTP 404"),
        (web.Response(status=200), "it speaks no WebSocket there"),
    ],
)
async def test_what_opens_no_websocket_is_no_server(answer: web.Response, sentence: str):
    async def handler(_: web.Request) -> web.StreamResponse:
        return answer

    async with serving(handler) as url:
        assert await refusal_of(url) == sentence


async def test_no_redirect_is_followed():
    other = WsServer()

    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{elsewhere}?{SECRET}"})

    async with serving(other.answer) as elsewhere, serving(redirect) as url:
        sentence = await refusal_of(url, headers={"X-Key": SECRET})

    assert sentence.startswith("it redirects to ")
    assert SECRET not in sentence
    assert other.requests == []


async def test_a_server_that_is_not_there_is_named_by_its_origin_only():
    sentence = await refusal_of(f"ws://127.0.0.1:1/{SECRET}?key={SECRET}")

    assert sentence.startswith("cannot connect to ws://127.0.0.1:1: ")
    assert SECRET not in sentence


async def test_a_server_that_never_answers_is_given_up():
    async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with conversing(silence) as url:
        assert (await refusal_of(url, connect_seconds=0.05)).endswith(" in time")


async def test_a_message_of_the_limit_passes_and_a_larger_one_ends_the_conversation():
    server, lost = WsServer(), []
    size = 10_000 - len(json.dumps(response(1, "")))
    async with connected_to(server.answer, max_message_bytes=10_000) as transport:
        transport.closed = lost.append
        passed = open_request(transport, 1)
        await eventually(lambda: server.heard)
        await server.say(response(1, "x" * size))
        await passed.result()
        failed = open_request(transport, 2)
        await server.say(response(2, "x" * (size + 1)))

        assert await failed.failure() == (FailureKind.TOO_LARGE, "over 10000 bytes")

    assert lost == ["over 10000 bytes"]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [(1009, "a message of ours was too large for it"), (1001, "it closed the connection (code 1001)")],
)
async def test_a_server_that_closes_is_lost_and_what_it_says_is_not_repeated(code: int, sentence: str):
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.close(code=code, message=SECRET.encode())

    lost: list[str] = []
    async with connected_to(WsServer(leave).answer) as transport:
        transport.closed = lost.append
        recorder = open_request(transport, 1)

        assert await recorder.failure() == (FailureKind.DISCONNECTED, sentence)

    assert lost == [sentence]


async def test_a_server_that_does_not_read_makes_us_busy_and_what_never_left_was_certainly_not_seen():
    leave = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        await leave.wait()
        writer.transport.abort()

    recorders = {}
    async with conversing(stall) as url:
        transport = ws_to(url, max_unsent_bytes=100_000)
        await transport.connect()
        for number in range(2000):
            recorders[number] = open_request(transport, number, text="x" * 20_000)
            await asyncio.sleep(0)
            if recorders[number].kinds:
                break
        busy = recorders.popitem()[1]
        waiting = transport._outgoing_bytes
        leave.set()
        kinds = [(await recorder.failure())[0] for recorder in recorders.values()]
        await transport.close()

    assert busy.kinds == [FailureKind.BUSY]
    assert 100_000 < waiting < 150_000
    assert kinds[0] is FailureKind.DISCONNECTED
    assert kinds[-4:] == [FailureKind.UNAVAILABLE] * 4
    assert sorted(set(kinds), key=kinds.index) == [FailureKind.DISCONNECTED, FailureKind.UNAVAILABLE]


async def test_a_request_dropped_before_it_was_written_is_not_written():
    server = WsServer()
    async with connected_to(server.answer) as transport:
        dropped, other = open_request(transport, 0), open_request(transport, 1)
        transport.drop(0)
        transport.send(NOTICE, {})
        await eventually(lambda: len(server.heard) == 2)
        await server.say(response(0), response(1))
        await other.result()

    assert [message.get("id") for message in server.heard] == [1, None]
    assert dropped.messages == dropped.failures == []


async def test_a_peer_that_vanished_is_noticed_by_its_silence():
    async def vanish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        await asyncio.Event().wait()

    lost: list[str] = []
    async with conversing(vanish) as url:
        transport = ws_to(url, heartbeat_seconds=0.1)
        await transport.connect()
        transport.closed = lost.append
        recorder = open_request(transport, 1)

        assert await recorder.failure() == (FailureKind.DISCONNECTED, "it did not answer a ping")
        await transport.close()

    assert lost == ["it did not answer a ping"]


async def test_what_is_no_message_is_passed_over():
    heard: list[Message] = []

    async def babble(socket: web.WebSocketResponse) -> None:
        async for frame in socket:
            assert frame.type is WSMsgType.TEXT
            if json.loads(frame.data)["id"] == 2:
                await socket.send_bytes(json.dumps(response(2, "in a binary frame")).encode())
                await socket.send_str("not json")
                await socket.send_str('{"jsonrpc":"2.0","id":1,"result":{]}')
                notice = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
                await socket.send_str(json.dumps([notice, response(2)]))

    async with connected_to(WsServer(babble).answer) as transport:
        transport.unsolicited = heard.append
        broken, good = open_request(transport, 1), open_request(transport, 2)

        assert await good.result() == {"text": "ok"}
        assert (await broken.failure())[0] is FailureKind.PROTOCOL

    assert [message.method for message in heard] == ["notifications/message"]


async def test_a_transport_connects_once():
    server = WsServer()
    async with connected_to(server.answer) as transport:
        with pytest.raises(OSError, match="only once"):
            await transport.connect()
