"""HTTP+SSE: one stream brings everything, POSTs to the URL it names take everything, and its end is the end."""

import asyncio
import json

import pytest
from aiohttp import web

from actors.core import sse
from actors.core.jsonrpc import Message, notification
from actors.core.outcome import FailureKind
from tests.support.http_servers import MIB, error, event_answer, json_answer, serving
from tests.support.processes import eventually
from tests.support.recorder import LIMIT, open_request
from tests.support.sse_servers import SseServer, accept, sse_to, streaming

INITIALIZED = notification("notifications/initialized")
SECRET = "s3cr3t-value"


def response(number: int, text: str = "ok") -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "result": {"text": text}}


async def refusal_of(url: str, **options: object) -> str:
    """Why a transport to this URL does not connect."""
    transport = sse_to(url, **options)
    try:
        await transport.connect()
    except OSError as error:
        return str(error)
    finally:
        await transport.close()
    raise AssertionError("it connected")


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("/messages/?session_id=a%2Bb%26", "/messages/?session_id=a%2Bb%26"),
        ("post?x=1", "/post?x=1"),
        ("?x=1", "/mcp?x=1"),
        ("ORIGIN/elsewhere#part", "/elsewhere"),
    ],
)
async def test_messages_go_to_the_url_that_the_server_names(endpoint: str, path: str):
    server = SseServer()
    async with serving(server.answer) as url:
        server._endpoint = endpoint.replace("ORIGIN", url.removesuffix("/mcp"))
        transport = sse_to(url)
        await transport.connect()

        recorder = open_request(transport, 1)
        server.say(response(1))
        await recorder.result()
        await transport.close()

    assert [request.raw_path for request in server.posts()] == [path]
    assert server.posted == [{"jsonrpc": "2.0", "id": 1, "method": "echo", "params": {}}]


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        (f"https://evil.example/{SECRET}", "the endpoint it names is of another origin, https://evil.example"),
        (f"//evil.example:8080/?{SECRET}", "the endpoint it names is of another origin, http://evil.example:8080"),
        (f"http://127.0.0.1:1/{SECRET}", "the endpoint it names is of another origin, http://127.0.0.1:1"),
        (f"file:///{SECRET}", "the endpoint it names is not a URL"),
        ("http://[::1/x", "the endpoint it names is not a URL"),
        ("/a b", "the endpoint it names is not a URL"),
        ("/" + "x" * 9000, "the endpoint it names is not a URL"),
    ],
)
async def test_an_endpoint_elsewhere_is_refused(endpoint: str, sentence: str):
    async with serving(SseServer(endpoint).answer) as url:
        assert await refusal_of(url) == sentence


async def test_a_server_that_names_no_endpoint_is_given_up():
    async with serving(SseServer(None).answer) as url:
        assert await refusal_of(url, endpoint_seconds=0.05) == "it named no endpoint for messages within 0.05 s"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (web.Response(status=401), "it refused our credentials (401)"),
        (web.Response(status=404), "it answered HTTP 404"),
        (json_answer(b"{}"), "it answered with no stream of events"),
        (web.Response(status=200, content_type="text/event-stream"), "its stream ended"),
    ],
)
async def test_what_gives_no_stream_is_no_server(answer: web.Response, sentence: str):
    async def handler(_: web.Request) -> web.StreamResponse:
        return answer

    async with serving(handler) as url:
        assert await refusal_of(url) == sentence


async def test_no_redirect_is_followed():
    other = SseServer()

    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"{elsewhere}?{SECRET}"})

    async with serving(other.answer) as elsewhere, serving(redirect) as url:
        sentence = await refusal_of(url, headers={"X-Key": SECRET})

    assert sentence.startswith("it redirects to http://127.0.0.1:")
    assert SECRET not in sentence
    assert other.requests == []


async def test_a_server_that_is_not_there_is_named_by_its_origin_only():
    sentence = await refusal_of(f"http://127.0.0.1:1/{SECRET}?key={SECRET}")

    assert sentence.startswith("cannot connect to http://127.0.0.1:1: ")
    assert SECRET not in sentence


@pytest.mark.parametrize(("revision", "named"), [("2024-11-05", None), ("2025-06-18", "2025-06-18")])
async def test_configured_headers_are_everywhere_and_newer_revisions_are_named(revision: str, named: str | None):
    server = SseServer()
    async with streaming(server, headers={"X-Key": SECRET}) as transport:
        open_request(transport, 1, "initialize")
        await eventually(lambda: server.posted)
        transport.established(revision)
        transport.send(INITIALIZED, {})
        await eventually(lambda: len(server.posted) == 2)

    assert [request.method for request in server.requests] == ["GET", "POST", "POST"]
    assert [request.headers["X-Key"] for request in server.requests] == [SECRET] * 3
    assert [request.headers.get("MCP-Protocol-Version") for request in server.requests] == [None, None, named]


async def test_requests_arrive_after_the_end_of_the_handshake():
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow_greeting(request: web.Request) -> web.StreamResponse:
        if "id" not in json.loads(await request.read()):
            arrived.set()
            await go_on.wait()
        return await accept(request)

    server = SseServer(post=slow_greeting)
    async with streaming(server) as transport:
        transport.established("2024-11-05")
        transport.send(INITIALIZED, {})
        recorder = open_request(transport, 1)
        await asyncio.wait_for(arrived.wait(), LIMIT)
        before = [message["method"] for message in server.posted]
        go_on.set()
        await eventually(lambda: len(server.posted) == 2)
        server.say(response(1))
        await recorder.result()

    assert before == ["notifications/initialized"]


async def test_a_refusal_may_carry_the_answer_and_else_fails_its_request_alone():
    async def judge(request: web.Request) -> web.StreamResponse:
        number = json.loads(await request.read())["id"]
        return json_answer(error(1, "no such tool"), status=400) if number == 1 else web.Response(status=500)

    server = SseServer(post=judge)
    async with streaming(server) as transport:
        answered, refused = open_request(transport, 1), open_request(transport, 2)

        await answered.ended()
        failure = await refused.failure()

    assert b"no such tool" in bytes(answered.messages[0].error)
    assert failure == (FailureKind.PROTOCOL, "it answered HTTP 500")


async def test_a_server_that_forgot_the_conversation_has_run_nothing_and_is_lost():
    async def forgetful(request: web.Request) -> web.StreamResponse:
        known = json.loads(await request.read())["id"] == 1
        return web.Response(status=202 if known else 404)

    server, lost = SseServer(post=forgetful), []
    async with streaming(server) as transport:
        transport.closed = lost.append
        earlier = open_request(transport, 1)
        await eventually(lambda: server.posted)
        refused = open_request(transport, 2)

        assert (await refused.failure())[0] is FailureKind.UNAVAILABLE
        assert (await earlier.failure())[0] is FailureKind.DISCONNECTED

    assert lost == ["it forgot our session"]


async def test_what_waits_for_a_connection_when_the_stream_ends_was_certainly_not_seen():
    async def hold(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server, lost = SseServer(post=hold), []
    async with streaming(server, pool_size=1) as transport:
        transport.closed = lost.append
        held, waiting, dropped = (open_request(transport, number) for number in (1, 2, 3))
        await eventually(lambda: server.posted)
        transport.drop(3)
        server.end()

        assert (await held.failure()) == (FailureKind.DISCONNECTED, "its stream ended")
        assert (await waiting.failure()) == (FailureKind.UNAVAILABLE, "its stream ended")

    assert lost == ["its stream ended"]
    assert [message["id"] for message in server.posted] == [1]
    assert dropped.messages == dropped.failures == []


async def test_a_request_dropped_before_it_was_sent_is_not_sent():
    go_on = asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return await accept(request)

    server = SseServer(post=hold)
    async with streaming(server, pool_size=1) as transport:
        first, dropped, last = (open_request(transport, number) for number in (1, 2, 3))
        await eventually(lambda: server.posted)
        transport.drop(2)
        go_on.set()
        await eventually(lambda: len(server.posted) == 2)
        server.say(response(1), response(2), response(3))
        await first.result()
        await last.result()

    assert [message["id"] for message in server.posted] == [1, 3]
    assert dropped.messages == dropped.failures == []


async def test_a_server_that_holds_a_post_until_its_answer_disturbs_nobody():
    answered = asyncio.Event()

    async def hold_the_first(request: web.Request) -> web.StreamResponse:
        if json.loads(await request.read()).get("id") == 1:
            await answered.wait()
        return await accept(request)

    server = SseServer(post=hold_the_first)
    async with streaming(server) as transport:
        first, second = open_request(transport, 1), open_request(transport, 2)
        await eventually(lambda: len(server.posted) == 2)
        server.say(response(2), response(1))

        assert await second.result() == await first.result() == {"text": "ok"}
        answered.set()
        await eventually(lambda: transport._posts.unsent_bytes == 0)


async def test_a_message_over_the_limit_ends_the_conversation():
    server, lost = SseServer(), []
    async with streaming(server, max_message_bytes=10_000) as transport:
        transport.closed = lost.append
        recorder = open_request(transport, 1)
        server.say(response(1, "x" * 20_000))

        assert await recorder.failure() == (FailureKind.TOO_LARGE, "over 10000 bytes")

    assert lost == ["over 10000 bytes"]


async def test_a_server_that_takes_nothing_makes_us_busy_and_not_large():
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server = SseServer(post=never)
    async with streaming(server, max_unsent_bytes=10_000) as transport:
        recorders = [open_request(transport, number, text="x" * 1000) for number in range(100)]
        unsent = transport._posts.unsent_bytes
        refused = [recorder for recorder in recorders if recorder.kinds == [FailureKind.BUSY]]
        for number in range(100):
            transport.drop(number)
            transport.send(INITIALIZED, {})

    assert 10_000 < unsent < 12_000
    assert 85 <= len(refused) < 95


async def test_no_more_requests_are_open_than_may_be():
    server = SseServer()
    async with streaming(server, max_open=2) as transport:
        recorders = [open_request(transport, number) for number in range(3)]

        assert [recorder.kinds for recorder in recorders] == [[], [], [FailureKind.BUSY]]


async def test_what_is_no_message_is_passed_over():
    heard: list[Message] = []
    server = SseServer()
    async with streaming(server) as transport:
        transport.unsolicited = heard.append
        broken, good = open_request(transport, 1), open_request(transport, 2)
        server.write(sse.comment("still here") + sse.event(b"https://evil.example/", event="endpoint"))
        server.write(sse.event(b"{}", event="other") + sse.event(b"not json", event="message"))
        server.write(sse.event(b'{"jsonrpc":"2.0","id":1,"result":{]}'))
        batch = [{"jsonrpc": "2.0", "method": "notifications/message", "params": {}}, response(2)]
        server.write(sse.event(json.dumps(batch).encode()))

        assert await good.result() == {"text": "ok"}
        assert (await broken.failure())[0] is FailureKind.PROTOCOL

    assert [message.method for message in heard] == ["notifications/message"]


async def test_a_post_that_nobody_waits_for_ends_by_itself():
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server = SseServer(post=never)
    async with streaming(server, pool_size=1, send_seconds=0.05) as transport:
        first = open_request(transport, 1)
        await eventually(lambda: server.posted)
        server.say(response(1))
        await first.result()
        open_request(transport, 2)

        await eventually(lambda: [message["id"] for message in server.posted] == [1, 2])


async def test_a_transport_connects_once_and_a_close_ends_its_connect():
    async def silent(request: web.Request) -> web.StreamResponse:
        await event_answer(request)
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(silent) as url:
        transport = sse_to(url, max_message_bytes=MIB)
        connecting = asyncio.create_task(transport.connect())
        await asyncio.sleep(0)
        await transport.close()

        with pytest.raises(OSError, match="it is closed"):
            await asyncio.wait_for(connecting, LIMIT)
        with pytest.raises(OSError, match="only once"):
            await transport.connect()
