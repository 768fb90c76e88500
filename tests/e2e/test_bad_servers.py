"""Servers that do everything wrong: a clear error on that call, and nothing else disturbed."""

import asyncio

import httpx
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from tests.support.gateway_process import GatewayProcess
from tests.support.processes import eventually

pytestmark = pytest.mark.e2e


async def fails(client: Client, tool: str, arguments: dict[str, object], match: str) -> None:
    with pytest.raises(MCPError, match=match):
        await client.call_tool(tool, arguments)


async def recovered(client: Client, tool: str) -> None:
    """The server works (again): it may have to be started first."""

    async def is_back() -> bool:
        try:
            result = await client.call_tool(tool, {"text": "back"})
        except MCPError:
            return False
        return bool(result.content[0].text == "back")

    await eventually(is_back, 30)


async def test_garbage_and_chatter_between_the_answers_are_passed_over(running: GatewayProcess) -> None:
    async with Client(running.url) as client:
        answers = await asyncio.gather(
            *(client.call_tool("noisy__echo", {"text": f"{n}", "delay_ms": (7 * n) % 50}) for n in range(50))
        )

    assert [answer.content[0].text for answer in answers] == [f"{n}" for n in range(50)]


@pytest.mark.parametrize(
    ("tool", "arguments", "match"),
    [
        ("hang", {}, "'chaos' did not answer in time"),
        ("wrong_id", {}, "'chaos' did not answer in time"),
        ("huge", {}, "'chaos' sent a message over the size limit"),
        ("huge", {"id_last": True}, "'chaos' sent a message over the size limit"),
        ("die", {"code": 4}, "'chaos' went away before it answered"),
        ("die", {"half": True}, "'chaos' went away before it answered"),
    ],
)
async def test_a_misbehaving_server_fails_its_own_call_only(
    running: GatewayProcess, tool: str, arguments: dict[str, object], match: str
) -> None:
    async with Client(running.url) as client:
        await recovered(client, "chaos__echo")
        meanwhile = asyncio.ensure_future(client.call_tool("stdio__shuffled", {"delay_ms": 500, "token": "mine"}))

        await fails(client, f"chaos__{tool}", arguments, match)

        assert (await meanwhile).content[0].text == "mine"
        await recovered(client, "chaos__echo")


async def test_calls_in_flight_when_a_server_dies_each_get_the_error(running: GatewayProcess) -> None:
    async with Client(running.url) as client:
        await recovered(client, "chaos__echo")
        waiting = [asyncio.ensure_future(client.call_tool("chaos__hang", {})) for _ in range(10)]
        await client.call_tool("chaos__echo", {"text": "sent after them", "delay_ms": 300})
        await fails(client, "chaos__die", {}, "went away")

        outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert all("went away" in str(outcome) for outcome in outcomes)


async def test_a_backend_that_exits_at_start_is_named_with_its_last_words(running: GatewayProcess) -> None:
    async with Client(running.url) as client:
        listed = {tool.name.partition("__")[0] for tool in (await client.list_tools()).tools}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    async with httpx.AsyncClient() as client:
        question = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        answer = (await client.post(running.server_url("dead"), json=question)).json()

    assert "'dead' is not available" in answer["error"]["message"]
    assert "no licence found" in answer["error"]["message"]
    assert answer["error"]["data"]["backend"] == "dead"
    assert "dead" not in listed
    assert "demo" in listed


async def test_the_errors_and_standard_error_of_servers_are_in_the_log_by_name(running: GatewayProcess) -> None:
    log = running.output()

    assert "backend dead:0 is not up" in log
    assert "no licence found" in log
    assert "upstream-secret" not in log
