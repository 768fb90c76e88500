"""The chaos server does what it is told to do wrong, and nothing else."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from mcp import Client

from tests.support.processes import (
    ROOT,
    command,
    descendants,
    stop,
    wait_gone,
)
from tests.support.sdk_client import stdio, text_of

INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


@contextmanager
def chaos(*flags: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command("tests.support.chaos_server", *flags),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def send(process: subprocess.Popen[bytes], request_id: int, tool: str, **arguments: Any) -> None:
    assert process.stdin is not None
    params = {"name": tool, "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
    process.stdin.write(json.dumps(body).encode() + b"\n")
    process.stdin.flush()


def receive(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


async def test_the_chaos_server_is_an_ordinary_server_when_not_told_otherwise() -> None:
    async with Client(stdio("tests.support.chaos_server"), read_timeout_seconds=10) as client:
        late, soon = await asyncio.gather(
            client.call_tool("echo", {"text": "late", "delay_ms": 50}), client.call_tool("echo", {"text": "soon"})
        )

        assert client.protocol_version == "2025-11-25"
        assert (text_of(late), text_of(soon)) == ("late", "soon")


async def test_a_client_that_skips_noise_gets_its_answers_from_the_chaos_server() -> None:
    target = stdio("tests.support.chaos_server", "--garbage", "8", "--chatty", "--duplicate")

    async with Client(target, read_timeout_seconds=10) as client:
        answers = [text_of(await client.call_tool("echo", {"text": str(number)})) for number in range(5)]

    assert answers == ["0", "1", "2", "3", "4"]


def test_the_chaos_server_answers_in_the_order_of_its_delays() -> None:
    with chaos() as process:
        send(process, 1, "echo", text="a", delay_ms=60)
        send(process, 2, "echo", text="b", delay_ms=30)
        send(process, 3, "echo", text="c")

        assert [receive(process)["id"] for _ in range(3)] == [3, 2, 1]


def test_the_chaos_server_answers_wrong_ids_and_answers_twice() -> None:
    with chaos() as process:
        send(process, 1, "wrong_id", right_too=True)
        send(process, 2, "twice")

        assert [receive(process)["id"] for _ in range(4)] == [1_000_001, 1, 2, 2]


def test_the_chaos_server_asks_in_the_middle_of_a_call() -> None:
    with chaos() as process:
        send(process, 1, "ask", method="ping")
        asked = receive(process)
        assert process.stdin is not None
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": {}}).encode() + b"\n")
        process.stdin.flush()

        assert asked["method"] == "ping"
        assert receive(process)["id"] == 1


@pytest.mark.parametrize("id_last", [False, True])
def test_a_huge_line_is_one_answer(id_last: bool) -> None:
    with chaos() as process:
        send(process, 1, "huge", size=3_000_000, id_last=id_last)
        answer = receive(process)

    assert answer["id"] == 1
    assert len(answer["result"]["content"][0]["text"]) == 3_000_000


def test_the_chaos_server_dies_in_the_middle_of_an_answer() -> None:
    with chaos() as process:
        send(process, 1, "die", code=7, message="last words", half=True)
        out, err = process.communicate(timeout=10)

    assert process.returncode == 7
    assert out.startswith(b'{"jsonrpc":"2.0","id":1')
    assert not out.endswith(b"\n")
    assert err == b"last words\n"


def test_the_chaos_server_can_end_before_it_began() -> None:
    with chaos("--exit", "3", "--message", "no licence") as process:
        _, err = process.communicate(timeout=10)

    assert (process.returncode, err) == (3, b"no licence\n")


@pytest.mark.parametrize(("flag", "method"), [("--silent", "server/discover"), ("--mute", "initialize")])
def test_the_chaos_server_leaves_requests_unanswered_when_told(flag: str, method: str) -> None:
    with chaos(flag) as process:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": INITIALIZE}
        out, _ = process.communicate(json.dumps(body).encode() + b"\n", timeout=10)

    assert out == b""
    assert process.returncode == 0


def test_a_slow_start_is_slow() -> None:
    begun = time.monotonic()
    with chaos("--start-delay", "0.3") as process:
        send(process, 1, "echo", text="x")
        receive(process)

    assert time.monotonic() - begun >= 0.3


async def test_a_stubborn_server_and_its_grandchild_stay_until_they_are_killed() -> None:
    with chaos("--stubborn", "--grandchild", "own-session") as process:
        send(process, 1, "spawn", own_session=True)
        spawned = int(receive(process)["result"]["content"][0]["text"])
        left = descendants(process.pid)
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        process.terminate()
        stayed = await wait_gone([process.pid, *left], 0.3)

        stop(process, seconds=0.2)

        assert spawned in left
        assert len(left) == 2
        assert stayed == [process.pid, *left]
        assert await wait_gone([process.pid, *left], 5) == []
