"""A slow server gets more calls than it can do: some wait, the rest are refused at once, and others notice nothing."""

import asyncio
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.e2e

SLOW_MS = 1500


async def test_a_slow_server_serves_what_it_can_refuses_the_rest_at_once_and_slows_nobody_else(
    running: GatewayProcess,
) -> None:
    ends: list[str] = []
    refused: list[Any] = []

    async def call_slow(client: Client, number: int) -> None:
        try:
            await client.call_tool("slow__echo", {"text": f"{number}", "delay_ms": SLOW_MS})
        except MCPError as error:
            refused.append(error.error.data)
            ends.append("refused")
        else:
            ends.append("served")

    async with Client(running.url) as client:
        flood = [asyncio.ensure_future(call_slow(client, number)) for number in range(8)]
        await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
        answers = [await client.call_tool("noisy__echo", {"text": f"{number}"}) for number in range(10)]
        still_slow = sum(not each.done() for each in flood)
        await asyncio.gather(*flood)

    assert ends == ["refused"] * 5 + ["served"] * 3
    assert still_slow > 0, "the others were answered while it was at work"
    assert [answer.content[0].text for answer in answers] == [f"{number}" for number in range(10)]
    assert {(data["reason"], data["backend"]) for data in refused} == {("busy", "slow")}
    assert all(1 <= data["retryAfter"] <= 60 for data in refused)
