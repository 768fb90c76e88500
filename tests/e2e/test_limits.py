"""Rate limits of a gateway with two ingress replicas, as its clients meet them."""

import asyncio
import collections
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import httpx
import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.guarded import GREEDY, KEY_HEADER, MODEST, PATIENT, RATE, STREAMS, token
from tests.support.processes import eventually

pytestmark = pytest.mark.e2e

IN_FLIGHT: Final = 20
CALLS: Final = 4 * RATE
SECONDS: Final = 60
"""For all of it, at most."""


def credential_of(subject: str) -> str:
    """As it stands in a header."""
    return f"Bearer {token(sub=subject)}"


@dataclass
class Client:
    """One principal, and what became of its calls."""

    http: httpx.AsyncClient
    url: str
    name: str
    answers: list[tuple[float, httpx.Response]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.credential = credential_of(self.name)

    async def call(self) -> httpx.Response:
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params: dict[str, Any] = {"name": "kept__echo", "arguments": {"text": "x"}, "_meta": meta}
        headers = {
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/call",
            "mcp-name": "kept__echo",
            "accept": "application/json, text/event-stream",
            "authorization": self.credential,
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = await self.http.post(self.url, json=body, headers=headers)
        self.answers.append((time.monotonic(), answer))
        return answer

    async def call_until(self, enough: Callable[[], bool], pause: float) -> None:
        """Call again and again; what is refused pauses at least so long."""
        deadline = time.monotonic() + SECONDS
        while not enough():
            assert time.monotonic() < deadline, collections.Counter(answer.status_code for _, answer in self.answers)
            answer = await self.call()
            if answer.status_code == 429 or self.name == MODEST:
                await asyncio.sleep(pause)

    def times(self, status: int) -> list[float]:
        """When there was an answer of this kind, the first one first."""
        return [at for at, answer in self.answers if answer.status_code == status]


@asynccontextmanager
async def clients(running: GatewayProcess) -> AsyncIterator[tuple[Client, Client]]:
    limits = httpx.Limits(max_connections=2 * IN_FLIGHT)
    async with httpx.AsyncClient(timeout=20.0, limits=limits) as http:
        yield Client(http, running.url, GREEDY), Client(http, running.url, MODEST)


def served_while_greedy(client: Client) -> tuple[int, float]:
    """How many calls were served in how many seconds, from one refusal to another: at both nothing was left."""
    refused = client.times(429)
    known = [at for at in refused if at >= refused[0] + 1.5]  # by then the replicas have heard of each other
    if not known:
        return 0, 0.0
    return sum(known[0] <= at <= known[-1] for at in client.times(200)), known[-1] - known[0]


async def test_a_client_gets_its_rate_and_no_more_and_another_one_does_not_notice(guarded: GatewayProcess) -> None:
    async with clients(guarded) as (greedy, modest):

        def enough() -> bool:
            return served_while_greedy(greedy)[0] >= CALLS

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(greedy.call_until(enough, 0.05))
            group.create_task(modest.call_until(enough, 0.1))

    served, seconds = served_while_greedy(greedy)
    assert served == pytest.approx(RATE * seconds, rel=0.1), (served, seconds)
    assert {answer.status_code for _, answer in modest.answers} == {200}


async def test_after_the_time_it_is_told_a_refused_client_goes_on(guarded: GatewayProcess) -> None:
    async with clients(guarded) as (greedy, _):
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(greedy.call_until(lambda: bool(greedy.times(429)), 0.0))
        told = next(answer for _, answer in reversed(greedy.answers) if answer.status_code == 429)
        await asyncio.sleep(float(told.headers["retry-after"]))
        again = await greedy.call()

    assert told.headers["ratelimit-policy"] == '"steady";q=50;w=1'
    assert told.headers["ratelimit"].startswith('"steady";r=0;t=')
    assert told.json()["error"]["data"]["reason"] == "rate_limited"
    assert (again.status_code, again.headers["ratelimit-policy"]) == (200, '"steady";q=50;w=1')


def test_the_metrics_say_how_many_were_refused_by_which_limit(guarded: GatewayProcess) -> None:
    deadline = time.monotonic() + 20.0
    while True:
        page = httpx.get(f"{guarded.origin}/metrics", headers=KEY_HEADER, timeout=10.0).text
        if 'only1mcp_limited_total{backend="kept",limit="steady"}' in page:
            break
        assert time.monotonic() < deadline, page[-2000:]
        time.sleep(0.2)


class Sse:
    """Opens streams of HTTP+SSE."""

    def __init__(self, running: GatewayProcess) -> None:
        self._url = f"{running.origin}/sse"
        self._http = httpx.AsyncClient(headers={"authorization": credential_of(PATIENT)}, timeout=20.0, trust_env=False)

    async def open(self) -> Callable[[], Awaitable[None]] | int:
        """How to close it, or the status of the refusal."""
        answer = await self._http.send(self._http.build_request("GET", self._url), stream=True)
        if answer.status_code == 200:
            return answer.aclose
        await answer.aclose()
        return answer.status_code

    async def close(self) -> None:
        await self._http.aclose()


class Ws:
    """Opens WebSockets."""

    def __init__(self, running: GatewayProcess) -> None:
        self._url = f"{running.origin}/ws"
        self._http = aiohttp.ClientSession(headers={"authorization": credential_of(PATIENT)})

    async def open(self) -> Callable[[], Awaitable[object]] | int:
        """See `Sse.open`."""
        try:
            return (await self._http.ws_connect(self._url)).close
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status

    async def close(self) -> None:
        await self._http.close()


@pytest.mark.parametrize("way", [Sse, Ws])
async def test_what_is_open_at_both_replicas_is_together_what_the_quota_says(
    guarded: GatewayProcess, way: type[Sse | Ws]
) -> None:
    async with AsyncExitStack() as ending:
        client = way(guarded)
        ending.push_async_callback(client.close)

        first = await asyncio.gather(*(client.open() for _ in range(3 * STREAMS)))
        refused = [each for each in first if isinstance(each, int)]
        closers = [each for each in first if not isinstance(each, int)]
        for close in closers[:2]:
            await close()
        again: list[object] = []

        async def one_more() -> bool:
            again.append(await client.open())
            return not isinstance(again[-1], int)

        for _ in range(2):
            await eventually(one_more, 10.0)
        last = await client.open()

    assert (len(closers), set(refused), last) == (STREAMS, {429}, 429)
