"""The comparison, against a server that is right and against some that are not."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.calls import Era
from load.compare import Plan, Results, Round, Target, compare, is_clean, percentile, report
from load.steady import gateway
from tests.support.processes import Listening, free_port, listening

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def echo() -> Iterator[Listening]:
    with listening("tests.support.echo_server", "--http", "0") as server:
        yield server


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    finally:
        server.close()


async def body_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))


def response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def failures(results: Results) -> Counter[str]:
    total: Counter[str] = Counter()
    for rounds in results.values():
        for measured in rounds.values():
            for one in measured:
                total += one.failures
    return total


@pytest.mark.parametrize("era", Era)
async def test_a_right_server_is_measured_in_turns_without_a_wrong_answer(echo: Listening, era: Era) -> None:
    targets = (Target("direct", echo.url, "echo"), Target("gateway", echo.url, "echo"))
    plan = Plan(targets, era, concurrency=(1, 3), seconds=0.05, rounds=2)

    results = await compare(plan)

    assert is_clean(results)
    assert {c: {name: len(rounds) for name, rounds in by.items()} for c, by in results.items()} == {
        1: {"direct": 2, "gateway": 2},
        3: {"direct": 2, "gateway": 2},
    }
    assert all(0 < one.p50 <= one.p99 for by in results.values() for rounds in by.values() for one in rounds)
    assert "wrong," not in report(plan, results)


async def test_one_answer_given_to_the_wrong_caller_is_noticed() -> None:
    kept: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            question = await body_of(reader)
            number = question.split(b'"id":')[1].split(b",")[0]
            text = question.split(b'"text":"')[1].split(b'"')[0]
            kept.append(b'{"id":%b,"result":{"content":[{"type":"text","text":"%b"}]}}' % (number, text))
            writer.write(response(kept[-2] if len(kept) == 5 else kept[-1]))

    async with serving(serve) as url:
        plan = Plan((Target("direct", url, "echo"),), concurrency=(1,), seconds=0.05, rounds=1)
        results = await compare(plan)

    assert failures(results) == {"the answer to another question": 1}
    assert not is_clean(results)
    assert "wrong, 1 times: direct: the answer to another question" in report(plan, results)


async def test_a_connection_that_is_lost_ends_the_round_at_once_and_is_counted() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await body_of(reader)
        writer.close()

    async with serving(serve) as url, asyncio.timeout(5):
        results = await compare(Plan((Target("direct", url, "echo"),), concurrency=(2,), seconds=60, rounds=1))

    assert failures(results) == {"connection lost": 4}  # two connections, warm-up and round
    assert not is_clean(results)


async def test_a_server_that_talks_something_else_is_counted_and_left() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await body_of(reader)
        writer.write(b"+PONG\r\n\r\n")

    async with serving(serve) as url, asyncio.timeout(5):
        results = await compare(Plan((Target("direct", url, "echo"),), concurrency=(1,), seconds=60, rounds=1))

    assert failures(results)["not HTTP/1.1"] == 1


async def test_a_server_that_is_not_there_is_an_error_and_not_a_figure() -> None:
    plan = Plan((Target("direct", f"http://127.0.0.1:{free_port()}/mcp", "echo"),), seconds=0.05)

    with pytest.raises(OSError, match=r"refused|Connect"):
        await compare(plan)


async def test_a_session_that_is_refused_is_an_error_and_not_a_figure() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await body_of(reader)
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")

    async with serving(serve) as url:
        with pytest.raises(ConnectionError, match="initialize: status 503"):
            await compare(Plan((Target("direct", url, "echo"),), Era.LEGACY, concurrency=(1,), seconds=0.05))


def test_a_round_without_answers_is_not_clean_though_nothing_was_wrong() -> None:
    nothing = Round(0, 0.0, math.nan, math.nan, Counter())

    assert not is_clean({1: {"direct": [nothing]}})


@given(values=st.lists(st.floats(0, 1e6), min_size=1), share=st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    ordered = sorted(values)

    found = percentile(ordered, share)

    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_a_gateway_that_ends_at_its_start_is_reported_at_once() -> None:
    with pytest.raises(RuntimeError, match="the gateway ended with"), gateway({"url": "ftp://nowhere"}, 1):
        pass
