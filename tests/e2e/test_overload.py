"""A slow server gets more calls than it can do: some wait, the rest are refused at once, and others notice nothing."""

import asyncio
import time
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
    refused: list[tuple[float, Any]] = []
    served: list[str] = []

    async def call_slow(client: Client, number: int) -> None:
        began = time.monotonic()
        try:
            answer = await client.call_tool("slow__echo", {"text": f"{number}", "delay_ms": SLOW_MS})
        except MCPError as error:
            refused.append((time.monotonic() - began, error.error.data))
        else:
            served.append(answer.content[0].text)

    async with Client(running.url) as client:
        flood = [asyncio.ensure_future(call_slow(client, number)) for number in range(8)]
        await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
        began = time.monotonic()
        answers = [await client.call_tool("noisy__echo", {"text": f"{number}"}) for number in range(10)]
        quick_seconds = time.monotonic() - began
        still_slow = sum(not each.done() for each in flood)
        await asyncio.gather(*flood)

    assert len(served) == 3
    assert still_slow > 0
    assert [answer.content[0].text for answer in answers] == [f"{number}" for number in range(10)]
    assert quick_seconds < 3 * SLOW_MS / 1000
    assert len(refused) == 5
    assert {(data["reason"], data["backend"]) for _, data in refused} == {("busy", "slow")}
    assert all(1 <= data["retryAfter"] <= 60 for _, data in refused)
    assert max(seconds for seconds, _ in refused) < SLOW_MS / 1000
