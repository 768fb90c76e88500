import asyncio
import gzip
from typing import Any, ClassVar

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from actors.core import sse
from actors.core.jsonrpc import Message, request
from actors.core.outcome import FailureKind
from actors.transports.http_answer import AnswerReader
from tests.support.http_servers import (
    MIB,
    PING,
    PROGRESS,
    Naps,
    answering,
    connected,
    conversing,
    echo,
    error,
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
from tests.support.recorder import Recorder, open_request

# What is sent, and how answers come back


async def test_a_request_carries_what_the_protocol_wants_the_endpoint_has_and_the_call_needs() -> None:
    seen: list[Any] = []

    async def answer(received: web.Request) -> web.StreamResponse:
        seen.append((received.headers, await received.json()))
        return await echo(received)

    async with talking(answer, headers={"Authorization": "Bearer k", "accept": "text/html"}) as transport:
        recorder = Recorder()
        transport.open(1, request(1, "tools/call", b'{"name":"x"}'), {"Mcp-Name": "x"}, recorder)
        await recorder.result()

    headers, body = seen[0]
    assert body == {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}}
    assert headers.getall("Accept") == ["application/json, text/event-stream"]
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer k"
    assert headers["Mcp-Name"] == "x"
    assert "Mcp-Session-Id" not in headers
    assert "Cookie" not in headers


async def test_a_json_answer_is_the_response() -> None:
    recorder = await only_outcome(echo)

    assert await recorder.result() == {"text": "answer 1"}


async def test_a_stream_gives_its_messages_in_order_and_the_response_last() -> None:
    recorder = await only_outcome(answering(PROGRESS, PING, result(1), PROGRESS))

    assert [message.method for message in recorder.messages] == ["notifications/progress", "ping", None]


async def test_a_stream_may_come_in_any_pieces() -> None:
    stream = b": hello\r\n\r\nid: 5\r\ndata:\r\n\r\n" + b"".join(sse.event(event) for event in (PROGRESS, result(1)))

    async def answer(received: web.Request) -> web.StreamResponse:
        return await event_answer(received, *(stream[at : at + 1] for at in range(len(stream))))

    recorder = await only_outcome(answer)

    assert await recorder.result() == {"text": "ok"}
    assert len(recorder.messages) == 2


async def test_an_array_is_taken_apart_and_the_response_comes_last() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return json_answer(b"[" + result(1) + b"," + PROGRESS + b',{"no": 1},3]')

    recorder = await only_outcome(answer)

    assert [message.method for message in recorder.messages] == ["notifications/progress", None]


async def test_a_compressed_answer_is_unpacked() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return json_answer(gzip.compress(result(1)), **{"Content-Encoding": "gzip"})

    assert await (await only_outcome(answer)).result() == {"text": "ok"}


async def test_two_hundred_shuffled_answers_each_reach_their_own_sink() -> None:
    waiting: dict[int, asyncio.Future[None]] = {}

    async def answer(received: web.Request) -> web.StreamResponse:
        number = await message_id(received)
        await waiting.setdefault(number, asyncio.get_running_loop().create_future())
        return await answering(result(number, str(number)))(received) if number % 2 else await echo(received)

    async with talking(answer, pool_size=200) as transport:
        recorders = {number: open_request(transport, number) for number in range(200)}
        await eventually(lambda: len(waiting) == 200)
        for number in range(200):
            waiting[number * 77 % 200].set_result(None)
        answers = {number: await recorder.result() for number, recorder in recorders.items()}

    assert answers == {number: {"text": str(number) if number % 2 else f"answer {number}"} for number in range(200)}


@given(
    st.lists(
        st.one_of(
            st.builds(result, st.one_of(st.integers(0, 3), st.sampled_from(["1", None, 1.5, True]))),
            st.builds(error, st.integers(0, 3), st.just("no")),
            st.sampled_from([PROGRESS, PING, b'{"jsonrpc":"2.0"}', b"{", b"3", b'{"id":1}', b'{"result":1,"id":[1]}']),
        )
    ),
    st.booleans(),
)
async def test_only_our_own_response_ever_reaches_the_sink_and_nothing_after_it(
    bodies: list[bytes], batch: bool
) -> None:
    heard: list[Message] = []
    reader = AnswerReader(b"1", heard.append, name="web", max_message_bytes=MIB)
    array = [body for body in bodies if body != b"{"]
    stream = sse.event(b"[%b]" % b",".join(array)) if batch else b"".join(sse.event(body) for body in bodies)

    trouble = await reader.read(Said(stream))  # type: ignore[arg-type]

    responses = [message for message in heard if message.method is None]
    assert (trouble is None) == (len(responses) == 1) == reader.answered
    assert responses in ([], heard[-1:])
    assert all(bytes(message.id) == b"1" for message in responses)


class Said:
    """As much of a response as a reader looks at."""

    status = 200
    headers: ClassVar = {"Content-Type": "Text/Event-Stream; charset=utf-8"}

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = [*chunks, b""]
        self.content = self

    async def readany(self) -> bytes:
        return self._chunks.pop(0)


# Answers that are wrong


async def test_a_response_to_another_request_never_reaches_the_sink() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return json_answer(result(2))

    with capture_logs() as logs:
        recorder = await only_outcome(answer)

    assert recorder.messages == []
    assert recorder.kinds == [FailureKind.PROTOCOL]
    assert [entry["event"] for entry in logs] == ["unexpected_message"]


async def test_a_stream_goes_on_after_a_response_to_another_request() -> None:
    recorder = await only_outcome(answering(result(2), b"garbage", result("1"), result(1)))

    assert await recorder.result() == {"text": "ok"}
    assert len(recorder.messages) == 1


@pytest.mark.parametrize("body", [b"[" * 5000, b'{"a":' * 5000, b"[" * 5000 + b"]" * 5000])
async def test_an_answer_that_is_nested_beyond_all_limits_is_a_failure_like_any_garbage(body: bytes) -> None:
    recorder = await only_outcome(answering(body))

    assert recorder.kinds == [FailureKind.PROTOCOL]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answering(PROGRESS), FailureKind.DISCONNECTED),
        (answering(result(2)), FailureKind.PROTOCOL),
        (answering(b'{"jsonrpc":"2.0","id":1}'), FailureKind.PROTOCOL),
    ],
)
async def test_a_stream_that_ends_without_the_response_is_a_failure(answer: Any, kind: FailureKind) -> None:
    assert (await only_outcome(answer)).kinds == [kind]


@pytest.mark.parametrize(
    ("status", "body", "media"),
    [
        (200, b"<html>", "text/html"),
        (200, b"", "application/json"),
        (200, b"{", "application/json"),
        (200, b"[]", "application/json"),
        (202, b"", "application/octet-stream"),
    ],
)
async def test_an_answer_that_is_no_message_is_not_mcp(status: int, body: bytes, media: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, content_type=media)

    assert (await only_outcome(answer)).kinds == [FailureKind.PROTOCOL]


async def test_what_is_not_http_is_not_mcp() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        await writer.drain()

    async with conversing(talk) as url, connected(url) as transport:
        kind, detail = await open_request(transport, 1).failure()

    assert (kind, detail) == (FailureKind.PROTOCOL, "what it sent is not HTTP")


async def test_an_answer_in_another_encoding_than_it_claims_is_not_mcp() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return json_answer(result(1), **{"Content-Encoding": "gzip"})

    assert (await only_outcome(answer)).kinds == [FailureKind.PROTOCOL]


# Refusals


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.PROTOCOL),
        (401, FailureKind.UNAUTHORIZED),
        (403, FailureKind.UNAUTHORIZED),
        (404, FailureKind.PROTOCOL),
        (429, FailureKind.UNAVAILABLE),
        (500, FailureKind.PROTOCOL),
        (502, FailureKind.DISCONNECTED),
        (503, FailureKind.UNAVAILABLE),
        (504, FailureKind.DISCONNECTED),
    ],
)
@pytest.mark.parametrize("media", ["text/html", "application/json"])
async def test_a_refusal_without_a_message_is_named(status: int, kind: FailureKind, media: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=b"<h1>Sorry</h1>", content_type=media)

    recorder = await only_outcome(answer)

    assert recorder.kinds == [kind]
    assert str(status) in recorder.failures[0][1]


@pytest.mark.parametrize("number", [1, None, "server-error"])
async def test_a_refusal_with_a_message_is_the_response(number: object) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return json_answer(error(number, "not here"), 400)

    recorder = await only_outcome(answer)
    await recorder.ended()

    assert recorder.failures == []
    assert bytes(recorder.messages[0].id) == b"1"
    assert b"not here" in bytes(recorder.messages[0].error)


async def test_a_refusal_that_names_another_request_is_not_the_response() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return json_answer(error(2, "not here"), 400)

    assert (await only_outcome(answer)).kinds == [FailureKind.PROTOCOL]


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("/mcp/", "to the same URL with a slash at its end"),
        ("/login?token=sesame", "to another path"),
        ("https://other.example/sesame", "to https://other.example"),
        ("http://[", "to something that is not a URL"),
    ],
)
async def test_a_redirect_is_named_and_not_followed(location: str, where: str) -> None:
    paths: list[str] = []

    async def answer(received: web.Request) -> web.StreamResponse:
        paths.append(received.path)
        return web.Response(status=307, headers={"Location": location})

    recorder = await only_outcome(answer)

    assert recorder.kinds == [FailureKind.PROTOCOL]
    assert f"redirects {where};" in recorder.failures[0][1]
    assert paths == ["/mcp"]


# Secrets


async def test_no_failure_and_no_log_holds_a_secret() -> None:
    said: list[str] = []
    statuses = [200, 301, 400, 401, 404, 429, 500, 503]

    async def answer(received: web.Request) -> web.StreamResponse:
        if received.method == "GET":
            return web.Response(status=500)
        number = (await message_id(received)) or 0
        text = str(dict(received.headers)) + received.path_qs
        return web.Response(status=statuses[number % len(statuses)], text=text, headers={"Location": received.path_qs})

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 sesame\r\n\r\n")

    with capture_logs() as logs:
        async with serving(answer) as web_url, conversing(talk) as raw_url:
            for url in (web_url, raw_url, f"http://127.0.0.1:{free_port()}/mcp", web_url.replace("http", "https")):
                secret_url = f"{url}/sesame-in-path?key=sesame-in-query"
                headers = {"Authorization": "sesame-in-header"}
                async with connected(secret_url, headers=headers, sleep=Naps()) as transport:
                    transport.established("2025-11-25")
                    recorders = [open_request(transport, number) for number in range(len(statuses))]
                    said += [(await recorder.failure())[1] for recorder in recorders]
                    transport.send(PROGRESS, {})
                    await eventually(lambda: len(transport._tasks) <= 1)  # the stream is never given up

    assert len(said) == 4 * len(statuses)
    assert "sesame" not in str(said) + str(logs)
