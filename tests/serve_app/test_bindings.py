"""Sessions of a sticky server: bound to the replica that has their state, and told once when it is gone."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.core.binding import MAX_BINDINGS, Binding, binding_at
from actors.core.incident import Incident, IncidentLabels
from actors.core.listing import Facts
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, FailureKind
from actors.core.revisions import Era
from actors.core.session_state import SessionState
from actors.core.tally import CallLabels
from actors.core.traffic_settings import Stickiness
from actors.router import GATHER_SECONDS
from actors.watchers import BEGUN
from tests.support.asgi import Conversation
from tests.support.bus import until
from tests.support.channel_clients import ChannelClient, WsWire
from tests.support.hand_clock import HandClock
from tests.support.house import Behaviour, Doorway, House, Plan, Replica, echo, fail, house, keep, view_of
from tests.support.posts import LegacyClient, ModernClient
from tests.support.session_router import SessionRouter

STICKY = Plan(stickiness=Stickiness.HARD)
ENDPOINT = "/servers/git/mcp"


def three(behave: Behaviour = echo) -> list[Replica]:
    return [Replica(index=index, behave=behave) for index in range(3)]


def settled_router() -> SessionRouter:
    router = SessionRouter(HandClock())
    router.clock.advance(GATHER_SECONDS)
    return router


async def linked(built: House, router: SessionRouter | None) -> Doorway:
    """One more ingress replica, with links to all."""
    gateway = built.doorway(router)
    await gateway.linked(len(built.replicas))
    return gateway


async def client_of(gateway: Doorway, path: str = "/mcp") -> LegacyClient:
    client = LegacyClient(gateway, path)
    assert (await client.initialize()).status == 200
    return client


async def calls(client: LegacyClient, count: int = 1) -> None:
    tool = "echo" if client._path == ENDPOINT else "git__echo"
    for _ in range(count):
        answered = await client.call(tool)
        assert "result" in answered.json, answered.json


def used(replicas: Sequence[Replica]) -> list[int]:
    """The replicas that had calls."""
    return [replica.key.index for replica in replicas if replica.exchanges]


def error_of(conversation: Conversation) -> Any:
    return conversation.json["error"]


def end(exchange: Exchange) -> None:
    """Say that the server which had the state of this session is gone."""
    exchange.finish(Failure(FailureKind.SESSION_LOST, "git"))


def fail_first(kind: FailureKind) -> Behaviour:
    """Refuse calls of a first binding."""
    return lambda exchange: fail(kind)(exchange) if exchange.call.binding == 1 else echo(exchange)


def fail_all_but_last(replicas: Sequence[Replica]) -> Behaviour:
    """Refuse calls as long as there is a replica that had none."""

    def behave(exchange: Exchange) -> None:
        if len(used(replicas)) < len(replicas):
            end(exchange)
        else:
            echo(exchange)

    return behave


async def all_of(replicas: Sequence[Replica], count: int) -> list[Replica]:
    """Those that have calls, as soon as they have had so many together."""
    await until(lambda: sum(len(replica.exchanges) for replica in replicas) == count)
    return [replica for replica in replicas if replica.exchanges]


def lost(conversation: Conversation) -> bool:
    error = conversation.json.get("error", {})
    return bool(error.get("data") == {"reason": "session_lost", "backend": "git"})


async def die(built: House, replica: Replica, epoch: str = "2") -> None:
    """Lose all state, and come back as another life, of which every ingress replica hears."""
    await replica.restart()
    replica.epoch = epoch
    built.publish()
    for gateway in built._doorways:
        await until(lambda gateway=gateway: gateway.links.link_to(replica.key, epoch) is not None)  # type: ignore[misc]


def only_session(gateway: Doorway) -> SessionState:
    (state,) = gateway.assembly.sessions._copy.states()
    return state


def bound_to(state: SessionState | None) -> int | None:
    binding = None if state is None else binding_at(state.bindings, "git")
    return None if binding is None else binding.index


# --- bound ---


async def test_all_calls_of_a_session_come_to_one_replica_through_every_ingress_and_one_question_binds_it() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        here, there = await linked(built, router), await linked(built, router)
        client = await client_of(here)

        await calls(client, 5)
        await calls(client.at(there), 5)

    assert len(used(replicas)) == 1
    assert router.calls == ["open", "change", "find"]


async def test_the_first_calls_of_a_session_are_bound_together() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        client = await client_of(await linked(built, router))

        answers = await asyncio.gather(*(client.call("git__echo") for _ in range(10)))

    assert all("result" in answered.json for answered in answers)
    assert len(used(replicas)) == 1
    assert router.calls.count("change") == 1


async def test_two_ingresses_that_would_choose_differently_go_by_what_the_router_says() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        here, there = await linked(built, router), await linked(built, router)
        client = await client_of(here)
        await there.assembly.sessions.read_news()
        here.outlook.adopt(view_of(replicas[:1], STICKY, 2))
        there.outlook.adopt(view_of(replicas[1:], STICKY, 2))
        await calls(client)

        waiting = client.at(there).start("tools/call", {"name": "git__echo"})
        await until(lambda: router.calls.count("change") == 2)
        built.publish()
        answered = await waiting.answered()

    assert "result" in answered.json
    assert used(replicas) == [0]


async def test_a_session_does_not_move_while_its_replica_lives_whatever_the_load() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        gateway = await linked(built, router)
        client = await client_of(gateway)
        await calls(client)
        (busy,) = [replica for replica in replicas if replica.exchanges]
        busy.in_flight = 1000
        busy._on_open = keep
        held = [client.start("tools/call", {"name": "git__echo"}, request_id=number) for number in range(20)]
        await until(lambda: len(busy.running) == 20)
        busy._on_open = echo

        await calls(client, 5)
        for exchange in busy.running:
            echo(exchange)
        for conversation in held:
            await conversation.answered()

    assert used(replicas) == [busy.key.index]


async def test_300_sessions_are_spread_over_three_replicas() -> None:
    replicas = three()
    async with house(*replicas, plan=STICKY) as built:
        gateway = await linked(built, None)

        for _ in range(300):
            await calls(await client_of(gateway), 2)

    counts = [len(replica.exchanges) for replica in replicas]
    assert sum(counts) == 600
    assert min(counts) >= 120
    assert all(count % 2 == 0 for count in counts)


async def test_a_modern_client_has_no_session_and_asks_the_router_nothing() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        client = ModernClient(await linked(built, router))

        answers = [await client.call("git__echo") for _ in range(5)]

    assert all("result" in answered.json for answered in answers)
    assert len(used(replicas)) == 1
    assert router.calls == []


async def test_where_nothing_is_sticky_nothing_is_bound() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas) as built:
        await calls(await client_of(await linked(built, router)), 30)

    assert len(used(replicas)) > 1
    assert router.calls == ["open"]


async def test_a_session_with_too_many_bindings_goes_by_affinity_and_asks_no_more() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        gateway = await linked(built, router)
        client = await client_of(gateway)
        state = only_session(gateway)
        for number in range(MAX_BINDINGS):
            await gateway.assembly.sessions.bind(state.nonce, Binding(f"b{number}", 1, 0, "1"))
        router.calls.clear()

        await calls(client, 5)

    assert len(used(replicas)) == 1
    assert router.calls == []


async def test_a_subscription_of_a_bound_session_is_held_where_the_session_is() -> None:
    facts = Facts(Era.HANDSHAKE, "2025-11-25", b"{}", b'{"resources":{"subscribe":true}}')

    def agree(exchange: Exchange) -> None:
        exchange.emit(EventKind.CHANGED, BEGUN)

    router, replicas = settled_router(), three(agree)
    async with house(*replicas, plan=Plan(stickiness=Stickiness.HARD, facts={"git": facts})) as built:
        gateway = await linked(built, router)
        clients = [await client_of(gateway) for _ in range(6)]
        for state in gateway.assembly.sessions._copy.states():
            await gateway.assembly.sessions.bind(state.nonce, Binding("git", 1, 2, "1"))
        streams = [client.listen() for client in clients]
        for stream in streams:
            await stream.until(lambda each: each.streams)

        for client in clients:
            assert "result" in (await client.ask("resources/subscribe", {"uri": "file:///a"})).json
        for stream in streams:
            await stream.leave()

    assert used(replicas) == [2]
    assert len(replicas[2].exchanges) == 6


# --- without the Router, and after it ---


async def test_without_the_router_all_ingresses_choose_the_same_and_it_is_told_later() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        here, there = await linked(built, router), await linked(built, router)
        router.away = True
        clients = [await client_of(here) for _ in range(10)]
        for client in clients:
            for replica in replicas:
                replica.exchanges.clear()
            await calls(client)
            await calls(client.at(there))
            assert len(used(replicas)) == 1

        router.away = False
        await here.assembly.sessions.read_news()

    states = here.assembly.sessions._copy.states()
    assert len(states) == 10
    assert all(bound_to(router.book.find(state.nonce)) == bound_to(state) is not None for state in states)


async def test_bindings_survive_a_restart_of_the_router_and_the_loss_of_an_ingress() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        here, there = await linked(built, router), await linked(built, router)
        client = await client_of(here)
        state = only_session(here)
        await here.assembly.sessions.bind(state.nonce, Binding("git", 1, 2, "1"))
        await there.assembly.sessions.read_news()

        router.restart()
        await there.assembly.sessions.read_news()
        router.clock.advance(GATHER_SECONDS)
        newcomer = await linked(built, router)
        await calls(client.at(newcomer), 3)

    assert bound_to(router.book.find(state.nonce)) == 2
    assert used(replicas) == [2]


# --- lost ---


async def test_at_the_endpoint_of_one_server_a_lost_session_gets_404_and_begins_anew_at_once() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        here, there = await linked(built, router), await linked(built, router)
        client = await client_of(here, ENDPOINT)
        await calls(client)
        stream = client.listen()
        await stream.until(lambda each: each.streams)
        await die(built, replicas[used(replicas)[0]])

        answers = [await client.call("echo"), await client.at(there).ask("tools/list")]
        await stream.answered()
        again = await client.initialize()
        await calls(client, 3)

    assert len(router.book) == 1
    assert [answered.status for answered in answers] == [404, 404]
    assert again.status == 200


async def test_at_the_aggregate_a_lost_session_gets_one_error_by_name_and_is_bound_anew() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        client = await client_of(await linked(built, router))
        await calls(client)
        await die(built, replicas[used(replicas)[0]])
        for replica in replicas:
            replica.exchanges.clear()

        listed = await client.ask("tools/list")
        first = await client.call("git__echo")
        await calls(client, 4)

    assert "result" in listed.json
    assert (first.status, error_of(first)["code"]) == (200, -32603)
    assert lost(first)
    assert "'git'" in error_of(first)["message"]
    assert len(used(replicas)) == 1


async def test_a_client_that_has_heard_of_the_loss_at_one_ingress_does_not_hear_it_at_another() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        here, there = await linked(built, router), await linked(built, router)
        client = await client_of(here)
        await calls(client)
        await calls(client.at(there))
        await die(built, replicas[used(replicas)[0]])
        for replica in replicas:
            replica.exchanges.clear()

        told = await client.call("git__echo")
        await calls(client)
        await calls(client.at(there), 2)

    assert lost(told)
    assert len(used(replicas)) == 1


async def test_the_loss_is_noticed_without_the_router_too() -> None:
    replicas = three()
    async with house(*replicas, plan=STICKY) as built:
        gateway = await linked(built, None)
        wide, narrow = await client_of(gateway), await client_of(gateway, ENDPOINT)
        await calls(wide)
        await calls(narrow)
        for replica in replicas:
            await die(built, replica)

        first = await wide.call("git__echo")
        await calls(wide)
        refused = await narrow.call("echo")

    assert lost(first)
    assert refused.status == 404


async def test_a_replica_that_is_gone_from_the_view_is_lost() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        gateway = await linked(built, router)
        client = await client_of(gateway)
        await calls(client)
        left = [replica for replica in replicas if not replica.exchanges]
        gateway.outlook.adopt(view_of(left, STICKY, 2))

        first = await client.call("git__echo")
        await calls(client, 3)

    assert lost(first)
    assert len(used(left)) == 1


async def test_a_binding_that_is_newer_than_the_view_is_not_taken_for_lost() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        gateway = await linked(built, router)
        client = await client_of(gateway, ENDPOINT)
        router.living.add("2")
        await gateway.assembly.sessions.bind(only_session(gateway).nonce, Binding("git", 1, 1, "2"))

        early = client.start("tools/call", {"name": "echo"})
        await until(lambda: router.calls.count("change") == 2)
        await die(built, replicas[1])
        late = await early.answered()
        await calls(client, 3)

    assert "result" in late.json
    assert used(replicas) == [1]


async def test_a_call_that_ran_when_its_replica_died_is_told_so_before_the_session_ends() -> None:
    router, replicas = settled_router(), three(keep)
    async with house(*replicas, plan=STICKY) as built:
        client = await client_of(await linked(built, router), ENDPOINT)
        running = client.start("tools/call", {"name": "echo"})
        await until(lambda: used(replicas) != [])
        await die(built, replicas[used(replicas)[0]])

        broken = await running.answered()
        refused = await client.call("echo")

    assert broken.events[-1]["error"]["data"]["reason"] == "disconnected"
    assert refused.status == 404


async def test_a_session_over_a_websocket_ends_when_its_replica_is_lost() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        wire: Any = WsWire(await linked(built, router), "/servers/git")
        client = ChannelClient(wire)
        await client.initialize()
        await client.ask("tools/call", {"name": "echo", "arguments": {}}, request_id=1)
        await die(built, replicas[used(replicas)[0]])

        refused = await client.ask("tools/call", {"name": "echo", "arguments": {}}, request_id=2)
        await client.wire.leave()

    assert "the session has ended" in refused["error"]["message"]


async def test_a_session_is_told_before_the_router_knows_that_its_replica_is_gone() -> None:
    router, replicas = settled_router(), three()
    router.living.add("1")
    async with house(*replicas, plan=STICKY) as built:
        client = await client_of(await linked(built, router))
        await calls(client)
        (dead,) = [replica for replica in replicas if replica.exchanges]
        await dead.close()

        told = await client.call("git__echo")
        await calls(client, 3)

    assert lost(told)
    assert len(used(replicas)) == 2


async def test_a_session_that_is_lost_is_counted_once_however_many_of_its_calls_hear_of_it_and_where() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        gateways = [await linked(built, router), await linked(built, router)]
        client = await client_of(gateways[0])
        elsewhere = LegacyClient(gateways[1])
        elsewhere.session = client.session
        await calls(client)
        await calls(elsewhere)
        await die(built, replicas[used(replicas)[0]])

        told = await asyncio.gather(*(each.call("git__echo") for each in (client, client, elsewhere)))
        await calls(client)

    counted = sum((gateway.tallying.tally.incidents for gateway in gateways), Counter())
    assert any(lost(each) for each in told)
    assert counted == {IncidentLabels(Incident.SESSION_LOST, "git"): 1}


async def test_at_the_endpoint_of_one_server_the_first_call_after_the_loss_gets_404() -> None:
    router, replicas = settled_router(), three()
    router.living.add("1")
    async with house(*replicas, plan=STICKY) as built:
        client = await client_of(await linked(built, router), ENDPOINT)
        await calls(client)
        await replicas[used(replicas)[0]].close()

        told = await client.call("echo")
        assert (await client.initialize()).status == 200
        await calls(client, 3)

    assert (told.status, error_of(told)["data"]["reason"]) == (404, "session_lost")


async def test_a_session_whose_server_died_in_a_replica_that_lives_is_told_by_that() -> None:
    router, replicas = settled_router(), three()
    router.living.add("1")
    async with house(*replicas, plan=STICKY) as built:
        gateway = await linked(built, router)
        wide, narrow = await client_of(gateway), await client_of(gateway, ENDPOINT)
        await calls(wide)
        await calls(narrow)
        for replica in replicas:
            replica._on_open = fail_first(FailureKind.SESSION_LOST)

        told = [await wide.call("git__echo"), await narrow.call("echo")]
        for replica in replicas:
            replica._on_open = echo
        await calls(wide, 3)

    assert [(each.status, error_of(each)["data"]["reason"]) for each in told] == [
        (200, "session_lost"),
        (404, "session_lost"),
    ]
    assert gateway.tallying.tally.calls[CallLabels("git", "tools/call", "session_lost")] == 2


async def test_calls_under_way_are_all_told_and_none_that_began_after_the_first_was() -> None:
    router, replicas = settled_router(), three()
    router.living.add("1")
    async with house(*replicas, plan=STICKY) as built:
        here, there = await linked(built, router), await linked(built, router)
        client = await client_of(here)
        await calls(client)
        for replica in replicas:
            replica.exchanges.clear()
            replica._on_open = keep
        early = []
        for gateway in (here, there):
            early.append(client.at(gateway).start("tools/call", {"name": "git__echo"}))
            (bound,) = await all_of(replicas, len(early))
        built.clock.advance(1.0)
        end(bound.running[0])
        told = [await early[0].answered()]
        built.clock.advance(1.0)
        router.clock.advance(1.0)

        late = client.at(there).start("tools/call", {"name": "git__echo"})
        await all_of(replicas, 3)
        for exchange in bound.running:
            end(exchange)
        told.append(await early[1].answered())
        for replica in replicas:
            replica._on_open = echo
        for exchange in [exchange for replica in replicas for exchange in replica.running]:
            echo(exchange)
        went_on = await late.answered()

    assert [lost(each) for each in told] == [True, True]
    assert "result" in went_on.json


async def test_a_client_that_was_told_at_one_ingress_is_served_by_the_other_before_that_hears_of_anything() -> None:
    router, replicas = settled_router(), three()
    router.living.add("1")
    async with house(*replicas, plan=STICKY) as built:
        here, there = await linked(built, router), await linked(built, router)
        client = await client_of(here)
        await calls(client)
        await calls(client.at(there))
        (dead,) = [replica for replica in replicas if replica.exchanges]
        await dead.close()

        told = await client.call("git__echo")
        router.clock.advance(0.1)
        built.clock.advance(0.1)
        await calls(client.at(there), 2)
        await calls(client, 2)

    assert lost(told)
    assert len(used(replicas)) == 2


async def test_a_session_that_is_bound_where_no_server_is_goes_on_to_another_replica_and_hears_nothing() -> None:
    router, replicas = settled_router(), three()
    router.living.add("1")
    async with house(*replicas, plan=STICKY) as built:
        client = await client_of(await linked(built, router))
        for replica in replicas:
            replica._on_open = fail_all_but_last(replicas)
        await calls(client, 3)

    assert len(used(replicas)) == 3
    assert {exchange.call.binding for replica in replicas for exchange in replica.exchanges} == {1, 3, 5}


async def test_a_call_says_how_often_its_session_was_bound_and_one_that_nobody_binds_says_nothing() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        gateway = await linked(built, router)
        client = await client_of(gateway)
        await calls(client)
        other = await client_of(gateway)
        state = next(each for each in gateway.assembly.sessions._copy.states() if not each.bindings)
        for number in range(MAX_BINDINGS):
            await gateway.assembly.sessions.bind(state.nonce, Binding(f"b{number}", 1, 0, "1"))
        await calls(other)

    assert [exchange.call.binding for replica in replicas for exchange in replica.exchanges] in ([0, 1], [1, 0])


# --- draining ---


async def test_a_draining_replica_has_the_calls_of_its_sessions_as_long_as_it_takes_them() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        client = await client_of(await linked(built, router))
        await calls(client)
        (draining,) = [replica for replica in replicas if replica.exchanges]
        draining.state = ReplicaState.DRAINING
        built.publish()

        await calls(client, 3)
        draining._on_open = fail(FailureKind.UNAVAILABLE)
        refused = await client.call("git__echo")
        taken = len(draining.exchanges)
        await calls(client, 3)

    assert lost(refused)
    assert len(draining.exchanges) == taken
    assert len(used(replicas)) == 2


async def test_a_refusal_of_a_replica_that_stays_loses_nothing() -> None:
    router, replicas = settled_router(), three()
    async with house(*replicas, plan=STICKY) as built:
        client = await client_of(await linked(built, router))
        await calls(client)
        (bound,) = [replica for replica in replicas if replica.exchanges]
        answers = []
        for kind in (FailureKind.UNAVAILABLE, FailureKind.BUSY, FailureKind.BREAKER_OPEN):
            bound._on_open = fail(kind)
            answers.append(await client.call("git__echo"))
        bound._on_open = echo
        await calls(client, 3)

    assert [error_of(each)["data"]["reason"] for each in answers] == ["unavailable", "busy", "breaker_open"]
    assert used(replicas) == [bound.key.index]


async def test_where_no_replica_is_up_a_session_is_not_bound() -> None:
    router = settled_router()
    replica = Replica(up=False)
    async with house(replica, plan=STICKY) as built:
        client = await client_of(await linked(built, router))
        refused = await client.call("git__echo")
        replica.state = ReplicaState.UP
        built.publish()
        await calls(client)

    assert error_of(refused)["data"]["reason"] == "unavailable"
    assert router.calls == ["open", "change"]
