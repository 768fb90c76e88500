"""Rate limits of a gateway with two ingress replicas, as its clients meet them."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest

from tests.support.gateway_process import GatewayProcess, gateway, module

pytestmark = pytest.mark.e2e

RATE: Final = 50
IN_FLIGHT: Final = 20
SECONDS: Final = 4
KEYS: Final = {"greedy": "o1m_the-key-of-the-greedy-one", "modest": "o1m_the-key-of-the-modest-one"}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    keys = [{"name": name, "hash": f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"} for name, key in KEYS.items()]
    rates = [{"name": "steady", "calls": RATE, "seconds": 1.0, "burst": 10}]
    sections = {"auth": {"api_keys": keys}, "server": {"replicas": 2}, "limits": {"rates": rates}}
    servers = {"echo": module("tests.support.echo_server")}
    with gateway(tmp_path_factory.mktemp("limits"), servers, sections=sections) as running:
        yield running


@dataclass
class Client:
    """One principal, and what became of its calls."""

    http: httpx.AsyncClient
    url: str
    name: str
    answers: list[tuple[float, httpx.Response]] = field(default_factory=list)

    async def call(self) -> httpx.Response:
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params: dict[str, Any] = {"name": "echo__echo", "arguments": {"text": "x"}, "_meta": meta}
        headers = {
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/call",
            "mcp-name": "echo__echo",
            "accept": "application/json, text/event-stream",
            "x-api-key": KEYS[self.name],
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = await self.http.post(self.url, json=body, headers=headers)
        self.answers.append((time.monotonic(), answer))
        return answer

    async def call_until(self, end: float, pause: float) -> None:
        """Call again and again; what is refused pauses at least so long."""
        while time.monotonic() < end:
            answer = await self.call()
            if answer.status_code == 429 or self.name == "modest":
                await asyncio.sleep(pause)

    def count(self, status: int, since: float, until: float) -> int:
        return sum(since <= at < until and answer.status_code == status for at, answer in self.answers)


@asynccontextmanager
async def clients(running: GatewayProcess) -> AsyncIterator[tuple[Client, Client]]:
    limits = httpx.Limits(max_connections=2 * IN_FLIGHT)
    async with httpx.AsyncClient(timeout=20.0, limits=limits) as http:
        yield Client(http, running.url, "greedy"), Client(http, running.url, "modest")


async def test_a_client_gets_its_rate_and_no_more_and_another_one_does_not_notice(limited: GatewayProcess) -> None:
    async with clients(limited) as (greedy, modest):
        begun = time.monotonic() + 1.5  # until the replicas have heard of each other
        end = begun + SECONDS
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(greedy.call_until(end, 0.05))
            group.create_task(modest.call_until(end, 0.1))

    served = greedy.count(200, begun, end)
    assert served == pytest.approx(RATE * SECONDS, rel=0.1), served
    assert greedy.count(429, begun, end) > 0
    assert {answer.status_code for _, answer in modest.answers} == {200}


async def test_after_the_time_it_is_told_a_refused_client_goes_on(limited: GatewayProcess) -> None:
    async with clients(limited) as (greedy, _):
        answers = [greedy.call() for _ in range(2 * IN_FLIGHT)]
        refused = [answer for answer in await asyncio.gather(*answers) if answer.status_code == 429]
        told = refused[-1]
        await asyncio.sleep(float(told.headers["retry-after"]))
        again = await greedy.call()

    assert told.headers["ratelimit-policy"] == '"steady";q=50;w=1'
    assert told.headers["ratelimit"].startswith('"steady";r=0;t=')
    assert told.json()["error"]["data"]["reason"] == "rate_limited"
    assert (again.status_code, again.headers["ratelimit-policy"]) == (200, '"steady";q=50;w=1')


def test_the_metrics_say_how_many_were_refused_by_which_limit(limited: GatewayProcess) -> None:
    deadline = time.monotonic() + 20.0
    while True:
        page = httpx.get(f"{limited.origin}/metrics", headers={"x-api-key": KEYS["modest"]}, timeout=10.0).text
        if 'only1mcp_limited_total{backend="echo",limit="steady"}' in page:
            break
        assert time.monotonic() < deadline, page[-2000:]
        time.sleep(0.2)
