"""The two older doors of the running command, with two ingress replicas behind each: HTTP+SSE and WebSocket."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp_types import (
    CreateMessageResult,
    ElicitResult,
    ListRootsResult,
    LoggingMessageNotificationParams,
    ResourceUpdatedNotification,
    Root,
    TextContent,
    ToolListChangedNotification,
)

from tests.support.fixture_tools import COUNTER_URI
from tests.support.gateway_process import GatewayProcess
from tests.support.guarded import KEY_HEADER
from tests.support.processes import eventually
from tests.support.sdk_client import text_of
from tests.support.sdk_ws_client import ws_client

pytestmark = pytest.mark.e2e

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
INITIALIZE = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


@pytest.fixture
def doors(guarded: GatewayProcess) -> GatewayProcess:
    return guarded


def sse(doors: GatewayProcess, path: str = "") -> AbstractAsyncContextManager[Any]:
    return sse_client(f"{doors.origin}{path}/sse", headers=KEY_HEADER)


def ws(doors: GatewayProcess, path: str = "") -> AbstractAsyncContextManager[Any]:
    return ws_client(f"ws://127.0.0.1:{doors.port}{path}/ws", KEY_HEADER)


Connect = Callable[..., AbstractAsyncContextManager[Any]]

DOORS = pytest.mark.parametrize("connect", [sse, ws])


@dataclass
class Heard:
    """What a client was told and asked, and what it answers."""

    logged: list[LoggingMessageNotificationParams] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)

    async def log(self, params: LoggingMessageNotificationParams) -> None:
        self.logged.append(params)

    async def note(self, message: Any) -> None:
        self.told.append(message)

    async def elicit(self, _context: Any, _params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    async def sample(self, _context: Any, _params: Any) -> CreateMessageResult:
        return CreateMessageResult(role="assistant", content=TextContent(text="hm"), model="m")

    async def roots(self, _context: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri="file:///here")])

    def changed(self, kind: type[Any]) -> bool:
        return any(isinstance(message, kind) for message in self.told)


@asynccontextmanager
async def session(connection: AbstractAsyncContextManager[Any], heard: Heard) -> AsyncIterator[ClientSession]:
    async with (
        connection as (read, write),
        ClientSession(
            read,
            write,
            sampling_callback=heard.sample,
            elicitation_callback=heard.elicit,
            list_roots_callback=heard.roots,
            logging_callback=heard.log,
            message_handler=heard.note,
        ) as client,
    ):
        await client.initialize()
        yield client


@DOORS
@pytest.mark.parametrize("endpoint", ["", "/servers/legacy"])
async def test_the_sdks_session_does_over_each_door_whatever_its_revision_knows(
    doors: GatewayProcess, connect: Connect, endpoint: str
) -> None:
    heard = Heard()
    steps: list[float] = []
    prefix = "" if endpoint else "legacy__"

    async def progress(done: float, _total: float | None, _message: str | None) -> None:
        steps.append(done)

    async with session(connect(doors, endpoint), heard) as client:
        listed = await client.list_tools()
        echoed = await client.call_tool(f"{prefix}echo", {"text": "grüße"})
        await client.call_tool(f"{prefix}progress", {"steps": 3}, progress_callback=progress)
        await client.set_logging_level("error")
        await client.call_tool(f"{prefix}log", {"level": "error"})
        await client.call_tool(f"{prefix}log", {"level": "info"})
        filled = await client.call_tool(f"{prefix}ask_form", {})
        sampled = await client.call_tool(f"{prefix}ask_sample", {})
        rooted = await client.call_tool(f"{prefix}ask_roots", {})
        await client.subscribe_resource(COUNTER_URI)

        async def updated() -> bool:
            await client.call_tool(f"{prefix}touch", {})  # again, because the subscription may take effect later
            return heard.changed(ResourceUpdatedNotification)

        await eventually(updated, 15)
        await client.call_tool(f"{prefix}change_tools", {})
        await eventually(lambda: heard.changed(ToolListChangedNotification), 15)

    assert f"{prefix}echo" in [tool.name for tool in listed.tools]
    assert text_of(echoed) == "grüße"
    assert steps == [1.0, 2.0, 3.0]
    assert [params.level for params in heard.logged] == ["error"]
    assert "Ada" in text_of(filled)
    assert "hm" in text_of(sampled)
    assert "file:///here" in text_of(rooted)


async def ran(doors: GatewayProcess) -> dict[str, int]:
    """How often the server's slow tool ran, and how that ended."""
    async with session(ws(doors), Heard()) as client:
        found = (await client.call_tool("legacy__ran", {})).structured_content
        assert found is not None
        return {name: int(count) for name, count in found.items()}


async def speak(socket: aiohttp.ClientWebSocketResponse, method: str, request_id: int | None, **params: Any) -> None:
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    await socket.send_str(json.dumps(message if request_id is None else {**message, "id": request_id}))


@pytest.mark.parametrize("vanishes", [True, False])
async def test_a_call_is_cancelled_by_a_client_that_says_so_or_vanishes(doors: GatewayProcess, vanishes: bool) -> None:
    before = await ran(doors)

    async with aiohttp.ClientSession(headers=KEY_HEADER) as http, http.ws_connect(f"{doors.origin}/ws") as socket:
        await speak(socket, "initialize", 1, **INITIALIZE)
        await socket.receive_json(timeout=30)
        await speak(socket, "tools/call", 2, name="legacy__slow", arguments={"seconds": 60})

        async def runs() -> bool:
            return (await ran(doors))["started"] > before["started"]

        await eventually(runs, 15)
        if vanishes:
            transport = socket.get_extra_info("socket")
            assert transport is not None
            transport.shutdown(2)
        else:
            await speak(socket, "notifications/cancelled", None, requestId=2)
            await speak(socket, "ping", 3)
            assert (await socket.receive_json(timeout=30))["id"] == 3

        async def cancelled() -> bool:
            return (await ran(doors))["cancelled"] > before["cancelled"]

        await eventually(cancelled, 15)


def listening_ingresses(doors: GatewayProcess) -> int:
    """How many ingress replicas listen on the bus, which they do from their first stream on."""
    sockets = (Path(tempfile.gettempdir()) / f"only1mcp-{os.getuid()}").glob("*.sock")
    owners = {socket.name.partition("-")[0] for socket in sockets}
    titles = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in doors.ray_processes() if str(pid) in owners]
    return sum(title.startswith(b"ray::ServeReplica:only1mcp:ingress") for title in titles)


async def test_posts_find_their_stream_whichever_ingress_replica_gets_them(doors: GatewayProcess) -> None:
    async def one_stream() -> int:
        async with session(sse(doors), Heard()) as client:
            for _ in range(20):
                await client.send_ping()
            return listening_ingresses(doors)

    listening = await asyncio.gather(*(one_stream() for _ in range(6)))

    assert max(listening) == 2, "both hold streams, so of so many posts some had to be sent on"


async def test_a_post_for_a_stream_that_is_gone_gets_404_at_every_ingress_replica(doors: GatewayProcess) -> None:
    async with httpx.AsyncClient(headers=KEY_HEADER, trust_env=False, timeout=30) as http:
        async with http.stream("GET", f"{doors.origin}/sse") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "event: endpoint"
            address = doors.origin + (await anext(lines)).removeprefix("data: ")
            assert (await http.post(address, json=PING)).status_code == 202

        async def gone() -> bool:
            return (await http.post(address, json=PING)).status_code == 404

        await eventually(gone, 15)
        assert {(await http.post(address, json=PING)).status_code for _ in range(8)} == {404}


async def test_a_web_page_from_elsewhere_gets_no_websocket(doors: GatewayProcess) -> None:
    async with aiohttp.ClientSession(headers=KEY_HEADER) as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{doors.origin}/ws", origin="https://elsewhere.example.org")

    assert refused.value.status == 403


async def test_large_messages_pass_both_ways_and_one_over_the_limit_closes_the_websocket(doors: GatewayProcess) -> None:
    text = "x" * 3_000_000
    async with (
        aiohttp.ClientSession(headers=KEY_HEADER) as http,
        http.ws_connect(f"{doors.origin}/ws", max_msg_size=0) as socket,
    ):
        await speak(socket, "initialize", 1, **INITIALIZE)
        await socket.receive_json(timeout=30)
        await speak(socket, "tools/call", 2, name="legacy__echo", arguments={"text": text})
        answer = await socket.receive_json(timeout=30)
        await socket.send_str("x" * (4 * 1024 * 1024 + 1))
        end = await socket.receive(timeout=30)

    assert answer["result"]["content"][0]["text"] == text
    assert (end.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1009)
