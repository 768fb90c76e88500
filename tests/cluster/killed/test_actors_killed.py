"""Killed under load: a Backend, the Router, Metrics."""

import asyncio
import time

import pytest

from tests.support.cluster import CHAOS, PAIR, Cluster
from tests.support.cluster_actors import NAMESPACE
from tests.support.cluster_callers import Target
from tests.support.processes import eventually, wait_gone

pytestmark = pytest.mark.cluster

NOTICED_SECONDS = 1.0
"""How long after a kill a call may still be sent to what was killed."""

SLOW = Target(PAIR.tool, {"delay_ms": 4000})


async def test_the_actors_have_the_names_of_what_they_are(cluster: Cluster) -> None:
    names = {actor.name for actor in await cluster.actors.alive() if actor.namespace == NAMESPACE}

    backends = {f"Backend:{replica}" for replica in ("pair:0", "pair:1", "fixture:0", "chaos:0", "asking:0")}
    assert names == {"Router", "Metrics", "Vault", *backends}


async def test_a_killed_backend_fails_only_its_own_calls_in_flight_and_comes_back(cluster: Cluster) -> None:
    async with cluster.load() as load:
        victim = await cluster.actors.one("Backend:pair:0")
        its_servers = cluster.servers_under(victim.pid)
        known_servers = {note.pid for note in cluster.notes()}
        texts = {cluster.text() for _ in range(8)}
        slow = [asyncio.ensure_future(load.call(number, SLOW, text)) for number, text in enumerate(texts)]
        await eventually(lambda: texts <= {note.text for note in cluster.notes()})

        killed_at = time.monotonic()
        victim.kill()

        slow_calls = await asyncio.gather(*slow)
        await eventually(lambda: {note.pid for note in cluster.notes()} - known_servers, 30)
        left = await wait_gone(its_servers, 10)

    ran = {note.text: note.pid for note in cluster.notes()}
    assert cluster.ran_twice() == []
    died = {call.text for call in slow_calls if call.trouble}
    assert died == {text for text in texts if ran[text] in its_servers}
    assert died, "the balancer gave both replicas something to do"
    assert {(call.backend, call.trouble) for call in load.troubled} == {("pair", "disconnected")}
    assert all(call.began < killed_at + NOTICED_SECONDS for call in load.troubled)
    assert not {ran.get(call.text) for call in load.troubled} & (known_servers - its_servers)
    assert {call.backend for call in load.right_since(killed_at)} == {"pair", "fixture", "chaos"}
    assert its_servers
    assert left == []


async def test_a_backend_that_came_back_is_known_for_another_life(cluster: Cluster) -> None:
    await cluster.whole()
    victim = await cluster.actors.one("Backend:chaos:0")
    restarts, up = (f'only1mcp_backend_{each}{{backend="chaos",replica="0"}}' for each in ("restarts_total", "up"))
    before = await cluster.metrics()

    victim.kill()

    async def known() -> bool:
        page = await cluster.metrics()
        return page.get(restarts) == before[restarts] + 1 and page[up] == 1.0

    await eventually(known, 30)
    async with cluster.caller() as caller:
        assert not (await caller.call(CHAOS, cluster.text())).trouble


async def test_no_call_fails_without_the_router_and_changes_are_seen_when_it_is_back(cluster: Cluster) -> None:
    lists: list[frozenset[str]] = []

    async with cluster.load() as load, cluster.caller() as caller, asyncio.TaskGroup() as group:
        complete = await caller.tools()
        router = await cluster.actors.one("Router")

        async def look() -> None:
            while True:
                lists.append(await caller.tools())

        looking = group.create_task(look())
        router.kill()
        await cluster.actors.back(router)
        answer = await load.callers[0].ask("tools/call", {"name": "fixture__change_tools", "arguments": {}})
        added = f"fixture__{answer['result']['content'][0]['text']}"
        await eventually(lambda: len(lists) > 8 and all(added in each for each in lists[-8:]), 40)
        looking.cancel()

    assert load.troubled == []
    assert all(complete <= each for each in lists)
    assert added not in complete


async def test_without_metrics_no_call_fails_and_no_report_is_lost_or_counted_twice(cluster: Cluster) -> None:
    prompts = 'only1mcp_requests_total{backend="fixture",method="prompts/get",outcome="ok"}'

    async with cluster.load(PAIR, CHAOS) as load, cluster.caller() as caller:

        async def get_prompts(count: int) -> None:
            for _ in range(count):
                assert "result" in await caller.ask("prompts/get", {"name": "fixture__plain"})

        async def counted(count: int) -> None:
            async def shows() -> bool:
                return (await cluster.metrics()).get(prompts) == count

            await eventually(shows, 30)

        await get_prompts(7)
        await counted(7)
        metrics = await cluster.actors.one("Metrics")

        metrics.kill()
        await get_prompts(5)

        await cluster.actors.back(metrics)
        await counted(5)
        await get_prompts(3)
        await counted(8)

    assert load.troubled == []
