"""The servers the other tests speak with, spoken to by the SDK's own client, without a gateway between."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types import TextContent

from tests.support.fixture_tools import FILLERS, UNKNOWN_RESULT_FIELDS, UNKNOWN_TOOL_FIELDS
from tests.support.processes import (
    ROOT,
    Listening,
    command,
    descendants,
    eventually,
    free_port,
    listening,
    stop,
    wait_gone,
)

ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28"}
MODERN_HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28"}
MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
LEGACY_HEADERS = {"accept": "application/json, text/event-stream"}
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


@pytest.fixture(scope="module")
def fixture() -> Iterator[Listening]:
    with listening("tests.support.fixture_server", "--http", "0") as server:
        yield server


@pytest.fixture(scope="module")
def echo() -> Iterator[Listening]:
    with listening("tests.support.echo_server", "--http", "0") as server:
        yield server


def stdio(module: str, *args: str) -> StdioServerParameters:
    executable, *rest = command(module, *args)
    return StdioServerParameters(command=executable, args=rest, cwd=str(ROOT), encoding_error_handler="replace")


def text_of(result: Any) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def modern(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": MODERN_META}}


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


@pytest.mark.parametrize(("mode", "revision"), ERAS.items())
@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_the_fixture_server_speaks_both_eras_over_both_transports(
    fixture: Listening, mode: str, revision: str, way: str
) -> None:
    target = fixture.url if way == "http" else stdio("tests.support.fixture_server")
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with Client(target, mode=mode, read_timeout_seconds=10) as client:
        answer = await client.call_tool("echo", {"text": "Grüße"})
        await client.call_tool("progress", {"steps": 3}, progress_callback=on_progress)
        who = await client.call_tool("who", {})

        assert client.protocol_version == revision
        assert text_of(answer) == "Grüße"
        assert seen == [1, 2, 3]
        assert who.structured_content is not None
        assert who.structured_content["client_info"]["name"] == "mcp"
        assert client.server_capabilities.tools is not None
        assert client.server_capabilities.tools.list_changed


@pytest.mark.parametrize("mode", ERAS)
async def test_the_fixture_server_lists_its_tools_on_several_pages(fixture: Listening, mode: str) -> None:
    names: list[str] = []
    pages = 0

    async with Client(fixture.url, mode=mode, read_timeout_seconds=10) as client:
        cursor = None
        while cursor is not None or not names:
            page = await client.list_tools(cursor=cursor)
            names += [tool.name for tool in page.tools]
            cursor, pages = page.next_cursor, pages + 1
        with pytest.raises(MCPError, match="cursor"):
            await client.list_tools(cursor="made up")

    assert pages >= 4
    assert len(names) == len(set(names))
    assert sum(name.startswith("filler_") for name in names) == FILLERS


async def test_the_fixture_server_sends_fields_that_no_revision_knows(fixture: Listening) -> None:
    async with httpx.AsyncClient(headers=MODERN_HEADERS) as client:
        listed = await client.post(fixture.url, json=modern("tools/list"), headers={"mcp-method": "tools/list"})
        called = await client.post(
            fixture.url,
            json=modern("tools/call", name="annotated", arguments={}),
            headers={"mcp-method": "tools/call", "mcp-name": "annotated"},
        )

    (tool,) = [tool for tool in listed.json()["result"]["tools"] if tool["name"] == "annotated"]
    assert {key: tool[key] for key in UNKNOWN_TOOL_FIELDS} == UNKNOWN_TOOL_FIELDS
    assert {key: called.json()["result"][key] for key in UNKNOWN_RESULT_FIELDS} == UNKNOWN_RESULT_FIELDS
    assert tool["outputSchema"]["required"] == ["value", "unit"]


async def test_the_fixture_server_demands_the_header_that_its_schema_names(fixture: Listening) -> None:
    body = modern("tools/call", name="regional", arguments={"region": "eu"})
    headers = {"mcp-method": "tools/call", "mcp-name": "regional"}

    async with httpx.AsyncClient(headers=MODERN_HEADERS) as client:
        without = await client.post(fixture.url, json=body, headers=headers)
        having = await client.post(fixture.url, json=body, headers={**headers, "mcp-param-region": "eu"})

    assert (without.status_code, without.json()["error"]["code"]) == (400, -32020)
    assert having.status_code == 200


@pytest.mark.parametrize("mode", ERAS)
async def test_the_fixture_server_counts_calls_that_were_cancelled(mode: str) -> None:
    with listening("tests.support.fixture_server", "--http", "0") as server:
        async with Client(server.url, mode=mode, read_timeout_seconds=10) as client:

            async def ran() -> Any:
                return (await client.call_tool("ran", {})).structured_content

            async def started() -> bool:
                return bool((await ran())["started"])

            async def cancelled() -> bool:
                return bool(await ran() == {"started": 1, "finished": 0, "cancelled": 1})

            call = asyncio.create_task(client.call_tool("slow", {"seconds": 60}))
            await eventually(started)
            call.cancel()
            await eventually(cancelled)


@pytest.mark.parametrize(("mode", "revision"), ERAS.items())
async def test_the_fixture_server_tells_when_its_tools_and_its_counter_change(mode: str, revision: str) -> None:
    heard: list[str] = []

    async def on_message(message: Any) -> None:
        heard.append(type(message).__name__)

    async with Client(
        stdio("tests.support.fixture_server"), mode=mode, message_handler=on_message, read_timeout_seconds=10
    ) as client:
        async with subscribed(client, modern=mode == "auto", on_event=heard.append):
            await client.call_tool("change_tools", {})
            await client.call_tool("touch", {})
            await eventually(lambda: any("ToolListChanged" in name or "ToolsListChanged" in name for name in heard))
            await eventually(lambda: any("ResourceUpdated" in name for name in heard))
        read = await client.read_resource("fixture://counter")

    assert read.contents[0].model_dump()["text"] == "1"


@asynccontextmanager
async def subscribed(client: Client, *, modern: bool, on_event: Callable[[str], None]) -> AsyncIterator[None]:
    if not modern:
        with pytest.warns(MCPDeprecationWarning):
            await client.subscribe_resource("fixture://counter")
        yield
        return
    async with client.listen(tools_list_changed=True, resource_subscriptions=["fixture://counter"]) as events:

        async def collect() -> None:
            async for event in events:
                on_event(type(event).__name__)

        task = asyncio.create_task(collect())
        try:
            yield
        finally:
            task.cancel()


async def test_the_fixture_server_forgets_its_sessions_when_told(fixture: Listening) -> None:
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    async with httpx.AsyncClient(headers=LEGACY_HEADERS) as client:
        opened = await client.post(
            fixture.url, json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}
        )
        session = {"mcp-session-id": opened.headers["mcp-session-id"]}
        before = await client.post(fixture.url, json=ping, headers=session)
        forgotten = await client.post(f"{fixture.origin}/forget")
        after = await client.post(fixture.url, json=ping, headers=session)

    assert (before.status_code, after.status_code) == (200, 404)
    assert forgotten.json()["forgotten"] >= 1


@pytest.mark.parametrize(("era", "revision"), [("legacy", "2025-11-25"), ("modern", "2026-07-28")])
@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_the_fixture_server_keeps_to_one_era_when_told(era: str, revision: str, way: str) -> None:
    other = "2026-07-28" if era == "legacy" else "legacy"

    async def revision_with(target: Any, mode: str) -> str:
        async with Client(target, mode=mode, read_timeout_seconds=10) as client:
            await client.call_tool("echo", {"text": "x"})
            return client.protocol_version

    if way == "stdio":
        target = stdio("tests.support.fixture_server", "--era", era)
        assert await revision_with(target, "auto") == revision
        with pytest.raises(ExceptionGroup, match="TaskGroup"):
            await revision_with(target, other)
    else:
        with listening("tests.support.fixture_server", "--http", "0", "--era", era) as server:
            assert await revision_with(server.url, "auto") == revision
            with pytest.raises(ExceptionGroup, match="TaskGroup"):
                await revision_with(server.url, other)


@pytest.mark.parametrize(("mode", "revision"), ERAS.items())
@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_the_echo_server_speaks_both_eras_over_both_transports(
    echo: Listening, mode: str, revision: str, way: str
) -> None:
    target = echo.url if way == "http" else stdio("tests.support.echo_server")

    async with Client(target, mode=mode, read_timeout_seconds=10) as client:
        listed = await client.list_tools()
        answer = await client.call_tool("echo", {"text": 'quote " and ü'})
        with pytest.raises(MCPError, match="unknown tool"):
            await client.call_tool("other", {})

        assert client.protocol_version == revision
        assert [tool.name for tool in listed.tools] == ["echo"]
        assert text_of(answer) == 'quote " and ü'


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"mcp-method": "tools/list", "mcp-name": "echo"}, -32020),
        ({"mcp-method": "tools/call"}, -32020),
        ({"mcp-method": "tools/call", "mcp-name": "echo", "mcp-protocol-version": "2099-01-01"}, -32022),
    ],
)
async def test_the_echo_server_refuses_headers_that_lie(echo: Listening, headers: dict[str, str], code: int) -> None:
    body = modern("tools/call", name="echo", arguments={"text": "x"})

    async with httpx.AsyncClient(headers=MODERN_HEADERS) as client:
        response = await client.post(echo.url, json=body, headers=headers)

    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize(("session", "status"), [({}, 400), ({"mcp-session-id": "made-up"}, 404)])
async def test_the_echo_server_knows_its_sessions(echo: Listening, session: dict[str, str], status: int) -> None:
    async with httpx.AsyncClient(headers=LEGACY_HEADERS) as client:
        response = await client.post(
            echo.url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=session
        )

    assert response.status_code == status


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


def test_a_server_that_ends_instead_of_listening_is_reported_at_once() -> None:
    with pytest.raises(RuntimeError, match="ended with"), listening("tests.support.chaos_server", "--exit", "4"):
        pass


def test_a_server_that_does_not_listen_in_time_is_ended() -> None:
    before = descendants(os.getpid())

    with (
        pytest.raises(TimeoutError, match="did not listen"),
        listening("tests.support.chaos_server", "--start-delay", "60", seconds=0.2),
    ):
        pass

    assert descendants(os.getpid()) == before


def test_a_free_port_can_be_listened_on() -> None:
    with listening("tests.support.echo_server", "--http", str(free_port())) as server:
        assert httpx.post(server.url, content=b"{").status_code == 400


async def test_waiting_for_what_never_comes_ends() -> None:
    with pytest.raises(AssertionError, match="not within"):
        await eventually(lambda: False, 0.05)
