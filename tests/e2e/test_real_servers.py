"""What a user does first: points a client at the gateway and uses the tools of several real servers."""

import asyncio
import random
from collections.abc import Awaitable

import httpx
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from tests.support.gateway_process import GatewayProcess
from tests.support.processes import eventually

pytestmark = pytest.mark.e2e

ERAS = ("auto", "legacy")


@pytest.mark.parametrize("mode", ERAS)
async def test_the_tools_of_all_servers_are_one_list(running: GatewayProcess, mode: str) -> None:
    async with Client(running.url, mode=mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}

    assert {"demo__echo", "time__get_current_time", "git__git_log", "legacy__echo", "modern__echo"} <= names
    assert not any(name.startswith("dead__") for name in names)


@pytest.mark.parametrize("mode", ERAS)
async def test_published_servers_do_their_work_through_the_gateway(
    running: GatewayProcess, repository: object, mode: str
) -> None:
    async with Client(running.url, mode=mode) as client:
        time = await client.call_tool("time__get_current_time", {"timezone": "Europe/Berlin"})
        log = await client.call_tool("git__git_log", {"repo_path": str(repository)})

    assert "Europe/Berlin" in time.content[0].text
    assert "The first commit" in log.content[0].text


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("backend", ["legacy", "modern", "stdio"])
async def test_every_method_works_with_every_era(running: GatewayProcess, backend: str, mode: str) -> None:
    async with Client(running.server_url(backend), mode=mode) as client:
        tools = (await client.list_tools()).tools
        echoed = await client.call_tool("echo", {"text": "häl\nlo"})
        resources = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates
        prompts = (await client.list_prompts()).prompts
        read = await client.read_resource(resources[0].uri)

    assert echoed.content[0].text == "häl\nlo"
    assert len(tools) > 20, "the fixture lists its tools on several pages"
    assert read.contents
    assert templates
    assert prompts


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("backend", ["legacy", "modern", "stdio"])
async def test_progress_reaches_the_caller_as_it_happens(running: GatewayProcess, backend: str, mode: str) -> None:
    heard: list[float] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async with Client(running.url, mode=mode) as client:
        await client.call_tool(f"{backend}__progress", {"steps": 3}, progress_callback=listen)

    assert heard == sorted(heard)
    assert len(heard) == 3


async def test_an_unknown_tool_is_an_error_that_says_so(running: GatewayProcess) -> None:
    async with Client(running.url, mode="legacy") as client:
        with pytest.raises(MCPError, match="Unknown tool: nobody__nothing"):
            await client.call_tool("nobody__nothing", {})


async def test_two_hundred_callers_get_their_own_answers(running: GatewayProcess) -> None:
    dice = random.Random(7)
    backends = ["legacy", "modern", "stdio"]

    async with Client(running.url) as client:

        async def ask(number: int) -> tuple[str, str]:
            tool = f"{backends[number % 3]}__shuffled"
            wanted = f"token-{number}"
            result = await client.call_tool(tool, {"delay_ms": dice.randrange(300), "token": wanted})
            return wanted, result.content[0].text

        answers = await asyncio.gather(*(ask(number) for number in range(200)))

    assert all(wanted == got for wanted, got in answers)


@pytest.mark.parametrize(
    ("backend", "mode"), [("stdio", "auto"), ("modern", "auto"), ("legacy", "legacy"), ("stdio", "legacy")]
)
async def test_a_cancelled_call_is_cancelled_at_the_server(running: GatewayProcess, backend: str, mode: str) -> None:
    async with Client(running.server_url(backend), mode=mode) as client:

        async def count(what: str) -> int:
            counts = (await client.call_tool("ran", {})).structured_content
            return int(counts[what])

        started, cancelled = await count("started"), await count("cancelled")
        call = asyncio.ensure_future(client.call_tool("slow", {"seconds": 60}))

        async def grew(what: str, before: int) -> bool:
            return await count(what) == before + 1

        await eventually(lambda: grew("started", started), 20)

        call.cancel()

        await eventually(lambda: grew("cancelled", cancelled), 20)
        await asyncio.gather(call, return_exceptions=True)


async def test_health_counts_what_is_up(running: GatewayProcess) -> None:
    async with httpx.AsyncClient() as client:
        page = (await client.get(f"{running.origin}/health")).json()
        live = await client.get(f"{running.origin}/health/live")

    assert page["status"] == "degraded"
    assert page["backends"] == {"up": running.backends - 1, "total": running.backends}
    assert live.status_code == 200


async def test_metrics_tell_calls_by_backend_method_and_outcome(running: GatewayProcess) -> None:
    counted = 'only1mcp_requests_total{backend="demo",method="tools/call",outcome="ok"}'
    async with Client(running.url) as client:
        await client.call_tool("demo__echo", {"text": "counted"})

    await eventually(lambda: is_in(counted, metrics(running)), 20)
    text = await metrics(running)

    assert 'only1mcp_backend_up{backend="time",replica="0"} 1.0' in text
    assert 'only1mcp_backend_up{backend="dead",replica="0"} 0.0' in text


async def test_an_open_breaker_refuses_at_once_and_is_seen_in_metrics(running: GatewayProcess) -> None:
    is_open = 'only1mcp_breaker_state{backend="fragile",replica="0",state="open"} 1.0'
    async with Client(running.url) as client:
        with pytest.raises(MCPError, match="'fragile' did not answer in time"):
            await client.call_tool("fragile__hang", {})
        with pytest.raises(MCPError, match="'fragile' failed too often"):
            await client.call_tool("fragile__echo", {"text": "refused"})

        await eventually(lambda: is_in(is_open, metrics(running)), 20)


async def metrics(running: GatewayProcess) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{running.origin}/metrics")).text


async def is_in(line: str, page: Awaitable[str]) -> bool:
    return line in await page
