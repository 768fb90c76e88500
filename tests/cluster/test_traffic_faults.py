"""Servers under load that die, become slow or talk nonsense: calls go elsewhere, and none runs twice that must not."""

import os
import signal
import time
from statistics import median

import pytest

from tests.support.cluster_actors import INGRESS
from tests.support.cluster_callers import Target
from tests.support.processes import eventually
from tests.support.traffic import (
    INGRESS_REPLICAS,
    POOL_NOTE,
    POOL_READ,
    QUICK_READ,
    STEADY,
    TRIO,
    Traffic,
    longest_pause,
)

pytestmark = pytest.mark.cluster

NOTICED_SECONDS = 2.0
"""How long after a kill a call may still be sent to what was killed."""

INGRESS_NOTICED_SECONDS = 5.0
"""How long Serve's proxy may still send requests to an ingress replica that is gone."""

PAUSE_SECONDS = 2.0
"""For less than this, calls of a backend stop while one of its replicas is gone."""

SLOW_MS = 2000
"""A hundred times what calls usually take."""


async def test_a_killed_server_of_a_pool_fails_only_calls_that_may_have_run_there(traffic: Traffic) -> None:
    async with traffic.load(POOL_READ, POOL_NOTE, STEADY) as load:
        victim = traffic.pool[0]
        dead = victim.pid
        killed_at = time.monotonic()
        victim.kill()
        await eventually(lambda: len(load.right_since(killed_at + NOTICED_SECONDS)) >= 200, 30)
        gone_until = time.monotonic()
        victim.start()
        await eventually(lambda: victim.pid in traffic.reads(), 60)

    ran = {note.text: note.pid for note in traffic.notes()}
    right = [call for call in load.calls if call.backend == "pool" and not call.trouble]
    assert {(call.tool, call.trouble) for call in load.troubled} <= {(POOL_NOTE.tool, "disconnected")}
    assert all(call.began < killed_at + NOTICED_SECONDS for call in load.troubled)
    assert {ran.get(call.text, dead) for call in load.troubled} <= {dead}
    assert longest_pause(right, killed_at, gone_until) < PAUSE_SECONDS
    assert traffic.ran_twice() == []


async def test_a_killed_stdio_server_fails_its_own_calls_and_the_other_replicas_go_on(traffic: Traffic) -> None:
    async with traffic.load(TRIO, STEADY) as load:
        pids = {note.pid for note in traffic.notes()}
        probe = await load.call(0, TRIO, traffic.text())
        dead = next(note.pid for note in traffic.notes() if note.text == probe.text)
        killed_at = time.monotonic()
        os.kill(dead, signal.SIGKILL)
        await eventually(lambda: {note.pid for note in traffic.notes()} - pids, 30)
        back_at = time.monotonic()

    ran = {note.text: note.pid for note in traffic.notes()}
    right = [call for call in load.calls if call.backend == "trio" and not call.trouble]
    assert {(call.backend, call.trouble) for call in load.troubled} <= {("trio", "disconnected")}
    assert {ran.get(call.text, dead) for call in load.troubled} <= {dead}
    assert longest_pause(right, killed_at, back_at) < PAUSE_SECONDS
    assert traffic.ran_twice() == []


async def test_what_is_killed_all_at_once_leaves_the_rest_at_work_and_comes_back(traffic: Traffic) -> None:
    async with traffic.load(POOL_READ, TRIO, STEADY) as load:
        probe = await load.call(0, TRIO, traffic.text())
        child = next(note.pid for note in traffic.notes() if note.text == probe.text)
        backends = [await traffic.actors.one(f"Backend:trio:{index}") for index in range(3)]
        victim = next(each for each in backends if child not in traffic.servers_under(each.pid))
        its_servers = traffic.servers_under(victim.pid)
        ingress, router = (await traffic.actors.of(INGRESS))[0], await traffic.actors.one("Router")
        server = traffic.pool[1]

        killed_at = time.monotonic()
        for pid in (child, server.pid, victim.pid, ingress.pid, router.pid):
            os.kill(pid, signal.SIGKILL)
        await traffic.actors.back(router)
        await traffic.actors.back(victim)
        server.start()
        await traffic.whole(90)

        async def all_ingress() -> bool:
            return len(await traffic.actors.of(INGRESS)) == INGRESS_REPLICAS

        await eventually(all_ingress, 60)
        whole_at = time.monotonic()
        await eventually(lambda: len(load.right_since(whole_at)) >= 300, 30)

    ran = {note.text: note.pid for note in traffic.notes()}
    at_the_door = [call for call in load.troubled if call.trouble != "disconnected"]
    in_flight = [call for call in load.troubled if call.trouble == "disconnected"]
    assert all(call.trouble == "connection" or call.trouble.startswith("status 5") for call in at_the_door)
    assert all(call.began < killed_at + INGRESS_NOTICED_SECONDS for call in at_the_door)
    assert {call.tool for call in in_flight} <= {TRIO.tool}
    assert {ran.get(call.text, child) for call in in_flight} <= {child, *its_servers}
    assert longest_pause([call for call in load.calls if not call.trouble], killed_at, whole_at) < PAUSE_SECONDS
    assert traffic.ran_twice() == []


@pytest.mark.parametrize("target", [POOL_READ, QUICK_READ], ids=["least", "peak_ewma"])
async def test_a_server_that_becomes_slow_is_left_to_few_calls(traffic: Traffic, target: Target) -> None:
    async with traffic.load(target) as load:
        before = median(call.ended - call.began for call in load.calls)
        slow = traffic.pool[2]
        await slow.feel(slow_ms=SLOW_MS)
        served, slowed_at = traffic.reads(), time.monotonic()
        try:
            await eventually(lambda: len(load.right_since(slowed_at)) >= 600, 60)
            served = traffic.reads() - served
        finally:
            await slow.feel()

    assert load.troubled == []
    assert served[slow.pid] < served.total() / 5
    assert median(call.ended - call.began for call in load.since(slowed_at)) < max(5 * before, SLOW_MS / 4000)


async def test_a_server_that_answers_garbage_is_left_alone_and_repeatable_calls_never_fail(traffic: Traffic) -> None:
    async with traffic.load(POOL_READ, POOL_NOTE) as load:
        mad = traffic.pool[1]
        await mad.feel(garbage=True)
        mad_at = time.monotonic()
        try:
            await eventually(lambda: breaker_of(traffic, 1, "open"), 30)
            left_alone_at = time.monotonic()
            await eventually(lambda: len(load.right_since(left_alone_at)) >= 400, 30)
        finally:
            await mad.feel()
        await eventually(lambda: breaker_of(traffic, 1, "closed"), 60)

    ran = {note.text: note.pid for note in traffic.notes()}
    calls = load.since(mad_at)
    assert {call.tool for call in load.troubled} <= {POOL_NOTE.tool}
    assert {ran[call.text] for call in load.troubled} <= {mad.pid}
    assert len(load.troubled) < len(calls) / 10
    assert traffic.ran_twice() == []


async def breaker_of(traffic: Traffic, place: int, state: str) -> bool:
    """Whether the breaker of the replica for a server of the pool is in this state."""
    replicas = (await traffic.servers())["pool"]["replicas"]
    return bool(replicas[place]["breaker"] == state)
