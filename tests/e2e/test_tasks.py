"""Tasks of a real server in two processes, through the whole gateway."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.e2e

REVISION = "2026-07-28"
TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}


class TaskClient:
    """A modern client at one endpoint, made by hand: the SDK's knows nothing of tasks."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def ask(self, method: str, params: dict[str, Any], capabilities: dict[str, Any] = TASKS) -> Any:
        """The response to a request."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": REVISION,
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        }
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": REVISION,
            "mcp-method": method,
            "mcp-name": params.get("taskId") or params["name"],
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        return (await self._http.post(self._url, json=body, headers=headers)).json()

    async def end_of(self, task: str) -> dict[str, Any]:
        """A task as it is when it has ended.

        Raises:
            TimeoutError: it does not end.
        """
        async with asyncio.timeout(30):
            while True:
                found: dict[str, Any] = (await self.ask("tasks/get", {"taskId": task}))["result"]
                if found["status"] not in ("working", "input_required"):
                    return found
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("aggregate", [True, False])
async def test_tasks_live_where_they_were_made_and_nowhere_else(running: GatewayProcess, aggregate: bool) -> None:
    url, tool = (running.url, "tasks__dig") if aggregate else (running.server_url("tasks"), "dig")
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        client = TaskClient(http, url)
        created = [(await client.ask("tools/call", {"name": tool, "arguments": {}}))["result"] for _ in range(8)]
        ids = [task["taskId"] for task in created]
        asking = [(await client.ask("tasks/get", {"taskId": each}))["result"] for each in ids]
        for metres, each in enumerate(ids[1:]):
            responses = {"depth": {"action": "accept", "content": {"metres": metres}}}
            await client.ask("tasks/update", {"taskId": each, "inputResponses": responses})
        await client.ask("tasks/cancel", {"taskId": ids[0]})
        ended = [await client.end_of(each) for each in ids]
        elsewhere = TaskClient(http, running.server_url("tasks") if aggregate else running.url)
        foreign = await elsewhere.ask("tasks/get", {"taskId": ids[0]})

    assert {task["resultType"] for task in created} == {"task"}
    assert [task["inputRequests"]["depth"]["method"] for task in asking] == ["elicitation/create"] * 8
    assert [task["taskId"] for task in ended] == [task["taskId"] for task in asking] == ids
    assert ended[0]["status"] == "cancelled"
    dug = [task["result"]["structuredContent"] for task in ended[1:]]
    assert [each["metres"] for each in dug] == list(range(7))
    assert foreign["error"]["code"] == -32602


async def test_a_client_without_tasks_gets_the_result_itself(running: GatewayProcess) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        called = await TaskClient(http, running.url).ask("tools/call", {"name": "tasks__dig", "arguments": {}}, {})

    assert called["result"]["content"][0]["text"] == "no hole without a task"
