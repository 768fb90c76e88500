"""A subscription lasts: through a server's crash and a link's loss, until its client is gone or nobody reads it."""

import asyncio
import json
from typing import Any

import pytest

from actors.bus.attachment import Attachment
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.conversations import Claim
from actors.core import jsonrpc
from actors.core.breaker import State
from actors.core.call import Call
from actors.core.jsonrpc import Message
from actors.core.listing import Facts
from actors.core.load import Load
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.resource_updates import LISTEN, MAX_URIS
from actors.core.revisions import Era
from actors.core.settings import Isolation
from actors.subscriptions import SWEEP_SECONDS, UNREAD_SECONDS, Subscriptions
from actors.upstream.upstream import UPDATED
from actors.watchers import BEGUN, Watchers
from tests.support.backends import World, backend_to, event_of, outcome_of
from tests.support.bus import exchange_id, until
from tests.support.hand_clock import HandClock
from tests.support.hand_timers import HandTimers
from tests.support.upstreams import SILENCE, TableServer, always, handshake_server

WATCHABLE = {"tools": {}, "resources": {"subscribe": True}}
ONE_EACH = Isolation.PRINCIPAL


def server() -> TableServer:
    """A handshake server with subscriptions."""
    table = handshake_server(capabilities=WATCHABLE)
    table.answers |= {
        "resources/list": always({"resources": []}),
        "resources/templates/list": always({"resourceTemplates": []}),
        "resources/subscribe": always({}),
        "resources/unsubscribe": always({}),
    }
    return table


def subscribed(table: TableServer) -> list[str]:
    """What a server was asked to tell of, in order."""
    return [params["uri"] for params in table.params_of("resources/subscribe")]


def update(world: World, uri: str, index: int = 0, **more: Any) -> None:
    """Let a server say that a resource was updated."""
    params = json.dumps({"uri": uri, **more}).encode()
    world.transports[index].deliver(jsonrpc.notification("notifications/resources/updated", params))


async def change_of(attachment: Attachment) -> Any:
    """The next change; that the server tells of changes from now on is none."""
    while (event := await event_of(attachment)).data == BEGUN:
        continue
    assert event.kind == "changed"
    return json.loads(event.data)


async def test_a_subscription_hears_of_updates_and_is_neither_load_nor_an_outcome():
    async with backend_to(server(), concurrency_limit=1) as world:
        listening = [world.listen("a://1"), world.listen("a://1", "a://2")]
        await until(lambda: set(subscribed(world.server)) == {"a://1", "a://2"})

        update(world, "a://2", title="t")
        update(world, "a://1")

        assert await change_of(listening[0]) == {"uri": "a://1"}
        assert await change_of(listening[1]) == {"uri": "a://2", "title": "t"}
        assert await change_of(listening[1]) == {"uri": "a://1"}
        assert isinstance(await world.call(), Reply)
        assert world.link.load == Load(0, State.CLOSED)


async def test_a_subscription_hears_first_that_the_server_has_agreed_to_all_of_it():
    table = server()
    table.answers["resources/subscribe"] = SILENCE
    async with backend_to(table) as world:
        listening = world.listen("a://1", "a://2")
        await until(lambda: len(table.ids_of("resources/subscribe")) == 2)
        first, second = table.ids_of("resources/subscribe")

        world.transports[0].deliver(b'{"id":%d,"result":{}}' % first)
        update(world, "a://1")
        world.transports[0].deliver(b'{"id":%d,"result":{}}' % second)
        early, begun = await event_of(listening), await event_of(listening)
        late = await event_of(world.listen("a://2"))

        assert json.loads(early.data) == {"uri": "a://1"}
        assert (begun.data, late.data) == (BEGUN, BEGUN)


async def test_when_the_last_one_for_a_resource_is_cancelled_the_server_need_not_tell_of_it():
    async with backend_to(server()) as world:
        listening = [world.listen("a://1"), world.listen("a://1", "a://2")]
        await until(lambda: len(subscribed(world.server)) == 2)

        listening[1].cancel("closed")
        outcome = await outcome_of(listening[1])
        await until(lambda: "resources/unsubscribe" in world.server.methods)
        update(world, "a://1")

        assert outcome == Failure(FailureKind.CANCELLED, "git", "closed")
        assert [params["uri"] for params in world.server.params_of("resources/unsubscribe")] == ["a://2"]
        assert await change_of(listening[0]) == {"uri": "a://1"}


async def test_a_server_that_crashed_is_asked_again_and_each_resource_counts_as_updated_once():
    async with backend_to(server()) as world:
        listening = world.listen("a://1", "a://2")
        await until(lambda: len(subscribed(world.server)) == 2)

        world.transports[0].lose("exit code 3")
        await until(lambda: len(subscribed(world.server)) == 4)
        update(world, "a://1", index=1, late=True)

        changes = [await change_of(listening) for _ in range(3)]
        assert changes == [{"uri": "a://1"}, {"uri": "a://2"}, {"uri": "a://1", "late": True}]


async def test_a_subscription_to_a_server_that_was_never_up_is_kept_until_it_is():
    async with backend_to("no such command") as world:
        listening = world.listen("a://1")
        await world.call()
        world.server = server()
        await until(lambda: world.backend.status().state is ReplicaState.UP)
        await until(lambda: subscribed(world.server) == ["a://1"])

        update(world, "a://1", index=len(world.transports) - 1)

        assert await change_of(listening) == {"uri": "a://1"}


async def test_a_server_without_subscriptions_is_said_to_have_none_also_when_it_comes_up_later():
    plain = handshake_server(capabilities={"resources": {"subscribe": False}})
    expected = Failure(FailureKind.UNSUPPORTED, "git", "it tells of no updates of resources")

    async with backend_to("no such command") as world:
        early = world.listen("a://1")
        await world.call()
        world.server = plain

        assert await outcome_of(early) == expected
        assert await outcome_of(world.listen("a://1")) == expected


@pytest.mark.parametrize(
    ("uris", "reason"),
    [([], "names no resource"), ([f"a://{number}" for number in range(MAX_URIS + 1)], "limit is 256")],
)
async def test_a_subscription_that_is_none_or_too_large_is_refused_with_the_reason(uris: list[str], reason: str):
    async with backend_to(server()) as world:
        outcome = await outcome_of(world.listen(*uris))

        assert outcome.kind is FailureKind.UNSUPPORTED
        assert reason in outcome.detail


class SharedOnly:
    """In the place of `Conversations`: one conversation, which nobody is heard in."""

    def __init__(self) -> None:
        self.watchers = Watchers()
        self.released = 0

    def key_of(self, _: Call) -> None:
        return None

    def crowding(self, _: None) -> None:
        return None

    def claim(self, _: None) -> Claim:
        return Claim(self, self._release)

    def _release(self) -> None:
        self.released += 1


CAPABLE = Facts(Era.MODERN, "2026-07-28", capabilities=json.dumps(WATCHABLE).encode())


def exchange_for(number: int, **limits: int) -> Exchange:
    """An exchange that listens to `a://1`."""
    return Exchange(
        exchange_id(number),
        Call(LISTEN, b'{"resourceSubscriptions":["a://1"]}', 1.0),
        backend="git",
        settings=ExchangeSettings(**limits),
        max_data_bytes=1000,
        ended=lambda _: None,
    )


async def test_a_replica_takes_only_so_many_and_an_ended_one_makes_room():
    conversations = SharedOnly()
    subscriptions = Subscriptions("git", conversations, clock=HandClock(), limit=2)
    subscriptions.learned(CAPABLE)
    exchanges = [exchange_for(number) for number in range(4)]

    for exchange in exchanges[:3]:
        subscriptions.opened(exchange)
    exchanges[0].cancel("closed")
    subscriptions.opened(exchanges[3])
    subscriptions.close()

    busy = Failure(FailureKind.BUSY, "git", "it has 2 subscriptions, and takes no more")
    stopping = Failure(FailureKind.UNAVAILABLE, "git", "it is stopping")
    cancelled = Failure(FailureKind.CANCELLED, "git", "closed")
    assert [exchange.outcome for exchange in exchanges] == [cancelled, stopping, busy, stopping]
    assert conversations.released == 3
    assert not conversations.watchers


async def test_who_is_there_and_what_is_owed_is_looked_at_now_and_then_while_there_are_any():
    timers, conversations = HandTimers(), SharedOnly()
    subscriptions = Subscriptions("git", conversations, clock=HandClock(), call_later=timers)
    subscriptions.learned(CAPABLE)
    exchange = exchange_for(1, max_unread_events=1)
    subscriptions.opened(exchange)
    subscriptions.opened(exchange_for(2))
    for _ in range(2):
        conversations.watchers.heard(Message(method=UPDATED, params=jsonrpc.raw({"uri": "a://1"})))
    exchange.grant(1)
    before = exchange.last_seq

    timers.go_off()
    after, running = exchange.last_seq, timers.running
    subscriptions.close()

    assert (before, after) == (1, 2)
    assert timers.pauses == [SWEEP_SECONDS] * 2
    assert (running, timers.running) == ([SWEEP_SECONDS], [])


async def test_nothing_is_looked_at_when_there_is_nothing():
    timers = HandTimers()
    subscriptions = Subscriptions("git", SharedOnly(), clock=HandClock(), call_later=timers)
    exchange = exchange_for(1)
    subscriptions.opened(exchange)
    exchange.cancel("closed")

    timers.go_off()

    assert timers.running == []


async def test_a_subscription_is_read_on_over_another_link_after_what_was_read():
    async with backend_to(server()) as world:
        listening = world.listen("a://1")
        await until(lambda: bool(subscribed(world.server)))
        update(world, "a://1", number=1)
        await change_of(listening)
        world.link.close()
        update(world, "a://1", number=2)
        world.link = await world.dial()

        again = world.link.attach(exchange_id(1), after=listening.last_seq)

        assert await change_of(again) == {"uri": "a://1", "number": 2}


async def test_a_subscription_that_nobody_reads_ends_after_a_while_and_one_that_is_read_does_not():
    async with backend_to(server()) as world:
        abandoned, read = world.listen("a://1"), world.listen("a://2")
        await until(lambda: len(subscribed(world.server)) == 2)
        abandoned.detach()
        await until(lambda: sum(watch.exchange.reader is None for watch in world.backend._subscriptions._claims) == 1)

        world.backend._subscriptions.sweep()
        world.clock.advance(UNREAD_SECONDS)
        world.backend._subscriptions.sweep()
        await until(lambda: "resources/unsubscribe" in world.server.methods)
        update(world, "a://2")

        ended = await outcome_of(world.link.attach(exchange_id(1), after=0))
        assert ended == Failure(FailureKind.CANCELLED, "git", "nobody has read it for 600 s")
        assert await change_of(read) == {"uri": "a://2"}


async def test_the_end_of_a_session_ends_its_subscriptions_and_nobody_elses():
    async with backend_to(server()) as world:
        mine = [world.listen("a://1", session=b"s1"), world.listen("a://2", origin=b"s1")]
        others = world.listen("a://3", session=b"s2")
        await until(lambda: len(subscribed(world.server)) == 3)

        world.link.cancel_origin(b"s1")
        outcomes = [await outcome_of(each) for each in mine]
        update(world, "a://3")

        assert [outcome.kind for outcome in outcomes] == [FailureKind.CANCELLED] * 2
        assert await change_of(others) == {"uri": "a://3"}


async def test_a_backend_that_stops_ends_them_at_once_though_calls_are_drained():
    table = server()
    table.answers["tools/call"] = always(None)

    async with backend_to(table) as world:
        listening, _ = world.listen("a://1"), world.open()
        await until(lambda: "tools/call" in table.methods)
        stopping = asyncio.ensure_future(world.backend.stop(5.0))
        outcome = await outcome_of(listening)
        refused = await outcome_of(world.listen("a://1"))
        world.transports[0].deliver(jsonrpc.result_response(b"%d" % table.ids_of("tools/call")[0], b"{}"))
        await stopping

    assert outcome == refused == Failure(FailureKind.UNAVAILABLE, "git", "it is stopping")


# --- in a conversation of its own ---


async def test_with_isolation_only_the_callers_own_conversation_tells_of_updates():
    async with backend_to(fresh=server, isolation=ONE_EACH) as world:
        ada, bob = world.listen("a://1", principal="ada"), world.listen("a://1", principal="bob")
        await until(lambda: len(world.servers) == 3 and all(subscribed(each) for each in world.servers[1:]))

        for index in range(3):
            update(world, "a://1", index=index, number=index)

        assert (await change_of(ada), await change_of(bob)) == (
            {"uri": "a://1", "number": 1},
            {"uri": "a://1", "number": 2},
        )
        assert subscribed(world.servers[0]) == []


async def test_a_subscription_keeps_its_conversation_and_takes_part_in_the_callers_calls():
    async with backend_to(fresh=server, isolation=ONE_EACH, conversation_idle_seconds=0.01) as world:
        listening = world.listen("a://1", principal="ada")
        await world.call(principal="ada")
        await world.call(principal="bob")
        await until(lambda: world.transports[2].is_closed)
        kept = not world.transports[1].is_closed

        listening.cancel("closed")
        await until(lambda: world.transports[1].is_closed)

        assert kept
        assert len(world.transports) == 3


async def test_a_lost_conversation_is_opened_again_for_the_sake_of_a_subscription():
    async with backend_to(fresh=server, isolation=ONE_EACH) as world:
        listening = world.listen("a://1", principal="ada")
        await until(lambda: len(world.servers) == 2 and bool(subscribed(world.servers[1])))

        world.transports[1].lose("exit code 3")
        await until(lambda: len(world.servers) == 3 and bool(subscribed(world.servers[2])))

        assert await change_of(listening) == {"uri": "a://1"}


async def test_a_lost_conversation_is_not_opened_again_for_a_subscription_that_ended_meanwhile():
    async with backend_to(fresh=server, isolation=ONE_EACH) as world:
        listening = world.listen("a://1", principal="ada")
        await until(lambda: len(world.servers) == 2 and bool(subscribed(world.servers[1])))

        world.transports[1].lose("exit code 3")
        listening.cancel("closed")
        await until(lambda: len(world.backend._conversations) == 0)

        assert len(world.transports) == 2


async def test_a_call_does_not_wait_until_a_lost_conversation_is_opened_for_a_subscription():
    async with backend_to(server(), isolation=ONE_EACH) as world:
        listening = world.listen("a://1", principal="ada")
        await until(lambda: len(world.transports) == 2 and len(subscribed(world.server)) == 1)
        world.server = "no more processes"
        world.transports[1].lose("exit code 3")
        await until(lambda: len(world.transports) == 4)  # twice in vain: the next pause is one second
        world.server = server()

        called = await asyncio.wait_for(world.call(principal="ada"), 0.9)

        assert isinstance(called, Reply)
        assert await change_of(listening) == {"uri": "a://1"}


async def test_where_all_conversations_are_in_use_a_subscription_is_refused():
    async with backend_to(fresh=server, isolation=ONE_EACH, max_conversations=1) as world:
        first = world.listen("a://1", principal="ada")
        await until(lambda: len(world.transports) == 2)

        outcome = await outcome_of(world.listen("a://1", principal="bob"))
        first.cancel("closed")

        assert outcome.kind is FailureKind.BUSY
        assert "max_conversations" in outcome.detail
