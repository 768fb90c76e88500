"""Sessions of a server that keeps state: each stays at its replica, whatever else is lost, and hears of its loss."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

import pytest

from tests.support.cluster_actors import INGRESS, Actor
from tests.support.cluster_callers import Call, Caller, Load, Target, WrongAnswer
from tests.support.processes import eventually
from tests.support.traffic import BOUND, Traffic

pytestmark = pytest.mark.cluster

PLAIN = Target("note")
"""The tool, by the name that it has at the endpoint of its server."""

TOLD_SECONDS = 2.0
"""So soon after the loss of its state a session has heard of it, and has been served elsewhere."""


def servers_of_sessions(traffic: Traffic, calls: Iterable[Call]) -> dict[str, list[int]]:
    """The process of the server that each call of each session ran in, in their order, once for each change."""
    ran = {note.text: note.pid for note in traffic.notes()}
    seen: dict[str, list[int]] = defaultdict(list)
    for call in sorted(calls, key=lambda call: call.began):
        pid = ran.get(call.text)
        if call.caller.startswith("legacy") and pid is not None and seen[call.caller][-1:] != [pid]:
            seen[call.caller].append(pid)
    return dict(seen)


async def replica_of(traffic: Traffic, server: int) -> Actor:
    """The actor that a server process hangs on."""
    backends = [actor for actor in await traffic.actors.alive() if actor.name.startswith("Backend:bound:")]
    return next(actor for actor in backends if server in traffic.servers_under(actor.pid))


async def test_sessions_stay_at_their_replicas_without_the_router_and_an_ingress(traffic: Traffic) -> None:
    async with traffic.load(BOUND) as load:
        router, ingress = await traffic.actors.one("Router"), (await traffic.actors.of(INGRESS))[0]
        router.kill()
        ingress.kill()
        await traffic.actors.back(router)
        await traffic.whole()
        back_at = time.monotonic()
        await eventually(lambda: {call.caller for call in load.right_since(back_at)} >= names(load.callers), 30)

    servers = servers_of_sessions(traffic, load.calls)
    assert len(servers) == 8
    assert {len(each) for each in servers.values()} == {1}
    assert len({pid for each in servers.values() for pid in each}) == 2, "sessions are spread"
    assert all(call.trouble == "connection" or call.trouble.startswith("status 5") for call in load.troubled)


async def test_sessions_of_a_replica_that_is_gone_hear_of_it_at_once_and_are_bound_anew(traffic: Traffic) -> None:
    async with traffic.load(BOUND) as load:
        before = servers_of_sessions(traffic, load.calls)
        dead = next(pids[-1] for pids in before.values())
        victim = await replica_of(traffic, dead)
        killed_at = time.monotonic()
        victim.kill()
        await eventually(lambda: {call.caller for call in load.right_since(killed_at)} >= names(load.callers), 30)
        await traffic.actors.back(victim)
        await traffic.whole()
        back_at = time.monotonic()
        await eventually(lambda: {call.caller for call in load.right_since(back_at)} >= names(load.callers), 30)

    assert_those_told_who_lost_their_state(traffic, load, before, dead, killed_at)


async def test_sessions_of_a_server_that_is_gone_while_its_replica_lives_hear_of_it_too(traffic: Traffic) -> None:
    async with traffic.load(BOUND) as load:
        before = servers_of_sessions(traffic, load.calls)
        dead = next(pids[-1] for pids in before.values())
        replica = await replica_of(traffic, dead)
        killed_at = time.monotonic()
        os.kill(dead, signal.SIGKILL)
        await eventually(lambda: {call.caller for call in load.right_since(killed_at)} >= names(load.callers), 30)
        await eventually(lambda: traffic.servers_under(replica.pid), 30)
        await traffic.whole()
        back_at = time.monotonic()
        await eventually(lambda: {call.caller for call in load.right_since(back_at)} >= names(load.callers), 30)

    assert_those_told_who_lost_their_state(traffic, load, before, dead, killed_at)


def assert_those_told_who_lost_their_state(
    traffic: Traffic, load: Load, before: Mapping[str, list[int]], dead: int, killed_at: float
) -> None:
    """Each session whose server is dead was told once, within `TOLD_SECONDS`, and is elsewhere; and no other was."""
    bound_there = {caller for caller, pids in before.items() if pids[-1] == dead}
    lost = [call.caller for call in load.troubled if call.trouble == "session_lost"]
    servers = servers_of_sessions(traffic, load.calls)
    assert sorted(lost) == sorted(bound_there), "each hears of it, once, and nobody else"
    assert {call.trouble for call in load.troubled} <= {"session_lost", "disconnected"}
    assert all(call.ended < killed_at + TOLD_SECONDS for call in load.troubled)
    served = {
        caller: min(each.ended for each in load.right_since(killed_at) if each.caller == caller) for caller in lost
    }
    assert all(ended < killed_at + TOLD_SECONDS for ended in served.values())
    assert {caller for caller, pids in servers.items() if len(pids) > 1} == bound_there
    assert {len(pids) for pids in servers.values()} <= {1, 2}
    assert traffic.ran_twice() == []


async def test_at_the_endpoint_of_its_server_a_lost_session_ends_and_its_client_initializes_again(
    traffic: Traffic,
) -> None:
    await traffic.whole()
    caller = Caller(traffic.running.server_url("bound"), "", legacy=True)
    again = Caller(traffic.running.server_url("bound"), "", legacy=True)
    try:
        await caller.open()
        first = await caller.call(PLAIN, traffic.text())
        victim = await replica_of(traffic, next(note.pid for note in traffic.notes() if note.text == first.text))
        killed_at = time.monotonic()
        victim.kill()

        async def is_known() -> bool:
            return "starting" in await traffic.states("bound")

        await eventually(is_known, 30)  # a call in the very moment of the kill may have run, and is told so
        with pytest.raises(WrongAnswer, match="status 404"):
            await caller.call(PLAIN, traffic.text())
        told_at = time.monotonic()
        await again.open()
        second = await again.call(PLAIN, traffic.text())
    finally:
        await caller.close()
        await again.close()

    assert (first.trouble, second.trouble) == ("", "")
    assert told_at < killed_at + TOLD_SECONDS


def names(callers: Iterable[Caller]) -> set[str]:
    return {caller.name for caller in callers}
