"""Killed under load: an ingress replica, and Auth."""

import time

import pytest

from tests.support.cluster import INGRESS_REPLICAS, Cluster
from tests.support.cluster_actors import AUTH, INGRESS
from tests.support.cluster_callers import NotAnswered
from tests.support.processes import eventually

pytestmark = pytest.mark.cluster

NOTICED_SECONDS = 5.0
"""How long after a kill Serve's proxy may still send requests to a replica that is gone."""


async def test_a_killed_ingress_replica_confuses_nobody_and_sessions_go_on_at_the_other(cluster: Cluster) -> None:
    async with cluster.load() as load:
        everybody = {caller.name for caller in load.callers}
        victim, other = await cluster.actors.of(INGRESS)

        async with cluster.without_replacement():
            killed_at = time.monotonic()
            victim.kill()
            await eventually(lambda: everybody <= {call.caller for call in load.right_since(killed_at)}, 30)

        async def replaced() -> bool:
            pids = {actor.pid for actor in await cluster.actors.of(INGRESS)}
            return len(pids) == INGRESS_REPLICAS and victim.pid not in pids and other.pid in pids

        await eventually(replaced, 60)
        replaced_at = time.monotonic()
        await eventually(lambda: len(load.right_since(replaced_at)) >= 300, 30)

    assert all(call.trouble == "connection" or call.trouble.startswith("status 5") for call in load.troubled)
    assert all(call.began < killed_at + NOTICED_SECONDS for call in load.troubled)
    assert cluster.ran_twice() == []


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
