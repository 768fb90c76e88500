"""Killed under load: an ingress replica, and Auth."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from tests.support.cluster import CHAOS, INGRESS_REPLICAS, Cluster
from tests.support.cluster_actors import AUTH, INGRESS, Actor
from tests.support.cluster_callers import NotAnswered
from tests.support.processes import eventually

pytestmark = pytest.mark.cluster

NOTICED_SECONDS = 5.0
"""How long after a kill Serve's proxy may still send requests to a replica that is gone."""

ANSWER_SECONDS = 10.0
"""Much more than calls at rest take; those that wait for the controller wait until it goes on."""


async def test_a_killed_ingress_replica_confuses_nobody_and_sessions_go_on_at_the_other(cluster: Cluster) -> None:
    async with cluster.load() as load:
        everybody = {caller.name for caller in load.callers}
        victim, other = await cluster.actors.of(INGRESS)

        async with cluster.without_replacement():
            killed_at = time.monotonic()
            victim.kill()
            await eventually(lambda: everybody <= {call.caller for call in load.right_since(killed_at)}, 30)

        await eventually(lambda: replaced(cluster, victim), 60)
        assert other in await cluster.actors.of(INGRESS)
        replaced_at = time.monotonic()
        await eventually(lambda: len(load.right_since(replaced_at)) >= 300, 30)

    assert all(call.trouble == "connection" or call.trouble.startswith("status 5") for call in load.troubled)
    assert all(call.began < killed_at + NOTICED_SECONDS for call in load.troubled)
    assert cluster.ran_twice() == []


async def test_an_ingress_that_is_new_asks_auth_without_serves_controller(cluster: Cluster) -> None:
    await cluster.whole()
    victim, _ = await cluster.actors.of(INGRESS)
    victim.kill()
    await eventually(lambda: replaced(cluster, victim), 60)

    async with cluster.without_replacement(), AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(cluster.caller()) for _ in range(8)]
        began = time.monotonic()
        calls = await asyncio.gather(*(caller.call(CHAOS, cluster.text()) for caller in callers))
        seconds = time.monotonic() - began

    assert {call.trouble for call in calls} == {""}
    assert seconds < ANSWER_SECONDS


async def replaced(cluster: Cluster, killed: Actor) -> bool:
    """Whether there is another ingress replica in its place, which gets requests."""
    pids = {actor.pid for actor in await cluster.actors.of(INGRESS)}
    are_new = len(pids) == INGRESS_REPLICAS and killed.pid not in pids
    return are_new and await cluster.actors.in_service("ingress") == INGRESS_REPLICAS


async def test_without_auth_known_credentials_go_on_and_new_ones_wait(cluster: Cluster) -> None:
    refusals: list[str] = []

    async with cluster.load() as load, cluster.caller("late") as late:

        async def admitted() -> bool:
            try:
                return bool(await late.tools())
            except NotAnswered as refusal:
                refusals.append(str(refusal))
                return False

        auth = await cluster.actors.one(AUTH)

        async with cluster.without_replacement():
            auth.kill()
            assert not await admitted()
            refused_at = time.monotonic()
            await eventually(lambda: len(load.right_since(refused_at)) >= 100, 30)

        await eventually(admitted, 60)

    assert set(refusals) == {"status 503"}
    assert load.troubled == []
