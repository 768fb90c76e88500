"""The fixture server, spoken to by the SDK's own client and by hand, without a gateway between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from mcp import Client, MCPError
from mcp.shared.exceptions import MCPDeprecationWarning

from tests.support.fixture_tools import FILLERS, UNKNOWN_RESULT_FIELDS, UNKNOWN_TOOL_FIELDS
from tests.support.processes import (
    Listening,
    eventually,
    listening,
)
from tests.support.sdk_client import LEGACY_HEADERS, MODERN_HEADERS, REVISIONS, modern, stdio, text_of

INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


@pytest.fixture(scope="module")
def fixture() -> Iterator[Listening]:
    with listening("tests.support.fixture_server", "--http", "0") as server:
        yield server


@pytest.mark.parametrize(("mode", "revision"), REVISIONS.items())
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


@pytest.mark.parametrize("mode", REVISIONS)
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


@pytest.mark.parametrize("mode", REVISIONS)
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


@pytest.mark.parametrize(("mode", "revision"), REVISIONS.items())
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
