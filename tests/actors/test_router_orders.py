"""The Router orders which replicas there shall be, and shows ingress replicas those that leave until they have left."""

import asyncio

import pytest

from actors.core.endpoints import StdioEndpoint
from actors.core.load import Load
from actors.core.membership import ReplicaKey, ReplicaState
from actors.core.roster import Changes, Orders
from actors.core.settings import BackendSettings, Naming
from actors.core.traffic_settings import ScaleSettings
from actors.router import Router
from tests.actors.test_router import FACTS, World, listing, status
from tests.support.control_plane import RecordingMetrics
from tests.support.hand_clock import HandClock
from tests.support.processes import eventually

LIMIT = 10.0


def backend(name: str = "git", command: str = "x", **more: object) -> BackendSettings:
    return BackendSettings(name=name, endpoint=StdioEndpoint(command=command), timeout=7.0, **more)  # type: ignore[arg-type]


def berths(orders: Orders) -> dict[str, bool]:
    """Whether each retires."""
    return {str(berth.key): berth.retiring for berth in orders.berths}


async def next_orders(router: Router, known: Orders) -> Orders:
    async with asyncio.timeout(LIMIT):
        return await router.orders(known.generation, known.version)


def forgetful(generation: str = "g2") -> Router:
    """A Router that has just restarted."""
    return Router(
        None,
        Naming.QUALIFIED,
        generation=generation,
        metrics=RecordingMetrics(),
        clock=HandClock(),
        watch_seconds=LIMIT,
    )


async def test_orders_come_at_once_and_then_when_they_change():
    world = World("git")
    first = await next_orders(world.router, Orders("", 0))
    waiting = asyncio.ensure_future(next_orders(world.router, first))
    await asyncio.sleep(0)
    waits = not waiting.done()
    await world.router.configure([backend(), backend("web")])

    assert berths(first) == {"git:0": False}
    assert waits
    assert berths(await waiting) == {"git:0": False, "web:0": False}


async def test_a_replaced_replica_drains_once_the_new_one_is_up_and_is_shown_until_it_has_ended():
    world = World("git")
    await world.router.report(status(listing=listing("old"), facts=FACTS))
    await world.next_view()
    await world.router.configure([backend(command="y")])
    await world.router.report(status(index=1, epoch="e2", listing=listing("new"), facts=FACTS))
    await eventually(lambda: "git:0" in {str(key) for key in world.router._roster.berths})
    view = await world.next_view()
    shown = {str(each.key): each.state for each in view.backends["git"].replicas}
    await world.router.clear(ReplicaKey("git", 0))
    view = await world.next_view()

    assert shown == {"git:0": ReplicaState.DRAINING, "git:1": ReplicaState.UP}
    assert [str(each.key) for each in view.backends["git"].replicas] == ["git:1"]
    assert world.tools() == ["git__new"]


async def test_a_replaced_replica_serves_on_while_the_new_one_does_not_come_up():
    world = World("git")
    await world.router.report(status(listing=listing("old"), facts=FACTS))
    await world.router.configure([backend(command="y")])
    await world.router.report(status(index=1, epoch="e2", state=ReplicaState.DOWN, detail="no such command"))
    view = await world.next_view()

    states = {str(each.key): each.state for each in view.backends["git"].replicas}
    assert states == {"git:0": ReplicaState.UP, "git:1": ReplicaState.DOWN}
    assert world.tools() == ["git__old"]


async def test_calls_to_a_removed_backend_may_end_though_clients_see_it_no_more():
    world = World("git", "web")
    await world.router.report(status("git", listing=listing("log"), facts=FACTS))
    await world.router.report(status("web", listing=listing("get"), facts=FACTS))
    await world.next_view()
    changes = await world.router.configure([backend("web")])
    view = await world.next_view()

    assert changes == Changes(removed=("git",), unchanged=("web",))
    assert list(view.backends) == ["web"]
    assert world.tools() == ["web__get"]
    assert [(str(each.key), each.state) for each in view.leaving] == [("git:0", ReplicaState.DRAINING)]


async def test_a_router_that_restarts_is_told_what_the_one_before_it_ordered():
    world = World("git")
    await world.router.add_server("web", backend("web"), b'{"command":"x"}')
    last = await next_orders(world.router, Orders("", 0))
    router = forgetful()
    await router.report(status("web", listing=listing("get"), facts=FACTS))
    unknown = await next_orders(router, last)
    await router.adopt(last)
    orders = await next_orders(router, last)

    assert not unknown.known
    assert (orders.generation, berths(orders)) == ("g2", {"git:0": False, "web:0": False})
    assert [(each.name, each.origin, each.source) for each in await router.servers()] == [
        ("git", "file", b""),
        ("web", "added", b'{"command":"x"}'),
    ]


async def test_a_server_of_the_file_is_neither_replaced_nor_removed_by_hand():
    world = World("git")

    assert "configuration file" in await world.router.add_server("git", backend(), b"{}")
    assert "configuration file" in await world.router.remove_server("git")
    assert await world.router.remove_server("web") == "no such server"
    assert await world.router.add_server("web", backend("web"), b"{}") == ""
    assert await world.router.remove_server("web") == ""


async def test_replicas_follow_the_calls_in_flight_and_a_sleeping_backend_is_woken():
    world = World()
    scale = ScaleSettings(min=0, max=3, target_in_flight=2.0, idle_timeout=30.0)
    await world.router.configure([backend(replicas=scale)])
    await world.router.report(status(listing=listing("log"), facts=FACTS))
    await world.router.beat(ReplicaKey("git", 0), "e1", 1, Load(in_flight=5))
    world.router.look_round()
    busy = (await world.router.servers())[0].wanted
    await world.router.beat(ReplicaKey("git", 0), "e1", 1, Load())
    world.clock.advance(31.0)
    world.router.look_round()
    idle = (await world.router.servers())[0].wanted
    await world.router.wake("git")

    assert (busy, idle, (await world.router.servers())[0].wanted) == (3, 0, 1)


async def test_a_backend_is_not_idle_before_it_has_come_up_and_then_for_as_long_as_it_may_be():
    world = World()
    scale = ScaleSettings(min=0, max=3, idle_timeout=5.0)
    await world.router.configure([backend(replicas=scale)])
    wanted = []

    async def look_after(seconds: float) -> None:
        world.clock.advance(seconds)
        world.router.look_round()
        wanted.append((await world.router.servers())[0].wanted)

    await look_after(1.0)
    await look_after(20.0)
    await world.router.report(status(listing=listing("log"), facts=FACTS))
    await look_after(4.0)
    await look_after(2.0)

    assert wanted == [1, 1, 1, 0]


async def test_whoever_asks_for_the_file_to_be_read_again_is_heard_with_the_orders():
    world = World("git")
    first = await next_orders(world.router, Orders("", 0))

    assert await world.router.ask_reload() == 1
    assert (await next_orders(world.router, first)).reload_asked == 1


async def test_a_router_that_knows_nothing_yet_houses_nobody_and_has_nothing_changed():
    world, key = World("git"), ReplicaKey("git", 0)
    last = await next_orders(world.router, Orders("", 0))
    router = forgetful()
    early = await router.house(key, "Backends:1")
    for change in (router.configure([]), router.ask_reload()):
        with pytest.raises(LookupError):
            await change
    await router.adopt(last)

    assert (early, await router.house(key, "Backends:1")) == (False, True)
    assert [held[0] for held in await router.holdings("Backends:1")] == [key]
    assert berths(await next_orders(router, last)) == {"git:0": False}
