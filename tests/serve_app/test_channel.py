"""What holds for every two-way connection of a client of the handshake era, whatever carries it."""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from actors.bus.frames import EventKind
from actors.core import ask
from actors.core.caller import Caller
from actors.core.listing import Facts, Item, Listing
from actors.core.principal import ANONYMOUS
from actors.core.revisions import HANDSHAKE_REVISIONS, Era
from serve_app.downstream.channel import Common
from serve_app.downstream.channel_refusal import MAX_REQUESTS
from serve_app.downstream.channels import Channels
from serve_app.downstream.entrance import Entrance
from serve_app.downstream.outgoing import MAX_REPLIES, Ending
from tests.support.bus import until
from tests.support.channel_clients import ChannelClient, SseWire, Wire, WsWire
from tests.support.house import (
    LISTING,
    Doorway,
    Plan,
    Replica,
    answer,
    arguments_of,
    complete,
    doorway,
    follow,
    house,
    keep,
    view_of,
)

Connect = Callable[..., Wire]

WIRES = pytest.mark.parametrize("connect", [SseWire, WsWire], ids=["sse", "websocket"])
ECHO = {"name": "git__echo", "arguments": {"a": 1}}
URI = "file:///a"
SUBSCRIBABLE = Facts(
    Era.HANDSHAKE, "2025-11-25", b"{}", b'{"tools":{},"resources":{"subscribe":true},"prompts":{},"logging":{}}'
)
PLAN = Plan(facts={"git": SUBSCRIBABLE})
MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
INITIALIZE = (
    b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}'
)
CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ECHO}).encode()


def entrance(gateway: Doorway) -> Entrance:
    return Entrance(lambda: gateway.outlook.offer(None), Caller(ANONYMOUS), "")


def common(gateway: Doorway, **limits: float) -> Common:
    made = gateway.assembly
    return Common(made.door, made.legacy, made.sessions, made.streams, **limits)


def calls(replica: Replica) -> list[Any]:
    return [each for each in replica.exchanges if each.call.method == "tools/call"]


@WIRES
@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
async def test_a_client_initializes_lists_and_calls(connect: Connect, revision: str) -> None:
    async with doorway(Replica()) as gateway:
        client = ChannelClient(connect(gateway), revision)

        introduced = await client.initialize()
        listed = await client.ask("tools/list", request_id="l")
        called = await client.ask("tools/call", ECHO, request_id=2**53)
        pinged = await client.ask("ping", request_id=-1)
        await client.wire.leave()

    assert introduced["result"]["protocolVersion"] == revision
    assert [tool["name"] for tool in listed["result"]["tools"]] == ["git__echo"]
    assert called["result"]["got"] == {"a": 1}
    assert pinged["result"] == {}


@WIRES
async def test_the_endpoint_of_one_server_is_transparent(connect: Connect) -> None:
    async with doorway(Replica()) as gateway:
        client = ChannelClient(connect(gateway, "/servers/git"))

        introduced = await client.initialize()
        called = await client.ask("tools/call", {**ECHO, "name": "echo"})
        await client.wire.leave()

    assert introduced["result"]["serverInfo"]["name"] == "upstream"
    assert called["result"]["name"] == "echo"


@WIRES
async def test_before_initialize_there_is_only_ping_and_after_it_no_second_one(connect: Connect) -> None:
    async with doorway(Replica()) as gateway:
        client = ChannelClient(connect(gateway))
        await client.wire.open()

        early = await client.ask("tools/list", request_id=1)
        pinged = await client.ask("ping", request_id=2)
        await client.start("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}}, request_id=3)
        first = await client.answer_to(3)
        second = await client.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}}, request_id=4)
        await client.wire.leave()

    assert early["error"]["code"] == -32600
    assert pinged["result"] == {}
    assert first["result"]["protocolVersion"] == "2025-06-18"
    assert second["error"]["code"] == -32600


@WIRES
async def test_a_request_of_the_modern_era_is_told_where_it_belongs(connect: Connect) -> None:
    async with doorway(Replica()) as gateway:
        client = ChannelClient(connect(gateway, "/servers/git"))
        await client.wire.open()

        refused = await client.ask("server/discover", {"_meta": MODERN_META})
        await client.wire.leave()

    assert refused["error"]["code"] == -32022
    assert "/servers/git/mcp" in refused["error"]["message"]
    assert refused["error"]["data"] == {"supported": [*reversed(HANDSHAKE_REVISIONS)], "requested": "2026-07-28"}


@WIRES
async def test_requests_run_at_the_same_time_and_each_has_its_progress_before_its_answer(connect: Connect) -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ChannelClient(connect(gateway))
        await client.initialize()

        for number in (1, 2):
            params = {"name": "git__echo", "arguments": number, "_meta": {"progressToken": f"t{number}"}}
            await client.start("tools/call", params, request_id=number)
        await until(lambda: len(calls(replica)) == 2)
        running = {arguments_of(exchange): exchange for exchange in calls(replica)}
        for number in (2, 1):
            assert running[number].emit(EventKind.PROGRESS, b'{"progressToken":0,"progress":1}')
            answer(running[number], complete({}))
            await client.answer_to(number)
        await client.wire.leave()

    _, *said = client.wire.messages
    assert [each.get("id") or each["params"]["progressToken"] for each in said] == ["t2", 2, "t1", 1]


@WIRES
async def test_a_cancelled_request_is_cancelled_at_its_server_and_has_no_answer(connect: Connect) -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ChannelClient(connect(gateway))
        await client.initialize()
        await client.start("tools/call", ECHO, request_id="slow")
        await until(lambda: bool(calls(replica)))

        await client.tell("notifications/cancelled", {"requestId": "slow"})
        await until(lambda: calls(replica)[0].done)
        await client.ask("ping", request_id="after")
        await client.ask("ping", request_id="after that")
        await client.wire.leave()

    assert [each["id"] for each in client.wire.messages] == ["init", "after", "after that"]


@WIRES
async def test_a_client_that_vanishes_takes_its_calls_and_its_session_along(connect: Connect) -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ChannelClient(connect(gateway))
        await client.initialize()
        await client.start("tools/call", ECHO)
        await until(lambda: bool(calls(replica)))
        session = calls(replica)[0].call.session

        await client.wire.leave()
        await until(lambda: calls(replica)[0].done)
        await until(lambda: session in replica.origins)

        assert await gateway.assembly.sessions.find(session, "\0anonymous:0::anonymous") is None


@WIRES
async def test_log_messages_are_of_the_level_that_the_session_set(connect: Connect) -> None:
    replica = Replica(behave=keep)
    async with doorway(replica, plan=PLAN) as gateway:
        client = ChannelClient(connect(gateway))
        await client.initialize()

        await client.start("tools/call", ECHO, request_id=1)
        await until(lambda: len(calls(replica)) == 1)
        await client.ask("logging/setLevel", {"level": "error"}, request_id=2)
        await client.start("tools/call", ECHO, request_id=3)
        await until(lambda: len(calls(replica)) == 2)
        assert calls(replica)[1].emit(EventKind.LOG, b'{"level":"error","data":"x"}')
        (heard,) = await client.heard("notifications/message")
        await client.wire.leave()

    assert [each.call.log_level for each in calls(replica)] == ["info", "error"]
    assert heard["params"] == {"level": "error", "data": "x"}


@WIRES
async def test_a_question_of_the_server_is_answered_while_its_call_runs(connect: Connect) -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ChannelClient(connect(gateway))
        await client.initialize({"elicitation": {}})
        await client.start("tools/call", ECHO)
        await until(lambda: bool(calls(replica)))
        (exchange,) = calls(replica)
        form = {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}

        assert exchange.emit(EventKind.ASK, ask.ask("elicitation/create", json.dumps(form).encode()))
        (question,) = await client.heard("elicitation/create")
        await client.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}})
        await until(lambda: bool(replica.answers))
        answer(exchange, {"done": True}, Era.HANDSHAKE)
        answered = await client.answer_to(1)
        await client.wire.leave()

    assert exchange.call.interactive
    assert question["params"] == form
    assert json.loads(replica.answers[0][1]) == {"result": {"action": "decline"}}
    assert answered["result"]["done"] is True


@WIRES
async def test_a_client_hears_that_a_list_or_a_subscribed_resource_changed(connect: Connect) -> None:
    replica = Replica(behave=follow)
    async with house(replica, plan=PLAN) as built:
        gateway = built.doorway()
        client = ChannelClient(connect(gateway))
        await client.initialize()

        listing = Listing((Item("new", b'{"name":"new"}'),), LISTING.resources, (), LISTING.prompts)
        gateway.outlook.adopt(view_of(built.replicas, dataclasses.replace(PLAN, listings={"git": listing}), 2))
        await client.heard("notifications/tools/list_changed")
        subscribed = await client.ask("resources/subscribe", {"uri": URI})
        await until(lambda: any(each.call.method == "subscriptions/listen" for each in replica.exchanges))
        assert replica.exchanges[-1].emit(EventKind.CHANGED, json.dumps({"uri": URI}).encode())
        (updated,) = await client.heard("notifications/resources/updated")
        await client.wire.leave()

    assert subscribed["result"] == {}
    assert updated["params"]["uri"] == URI


@WIRES
async def test_a_batch_is_answered_as_a_whole_where_the_revision_has_batches(connect: Connect) -> None:
    async with doorway(Replica()) as gateway:
        client = ChannelClient(connect(gateway), "2025-03-26")
        await client.initialize()

        await client.send(
            [
                {"jsonrpc": "2.0", "id": 1, "method": "ping"},
                {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
                {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": ECHO},
                {"jsonrpc": "2.0", "id": 3, "method": "initialize", "params": {}},
                {"jsonrpc": "1.0"},
            ]
        )
        await until(lambda: isinstance(client.wire.messages[-1], list))
        await client.wire.leave()

    answers = {each["id"]: each for each in client.wire.messages[-1]}
    assert answers.keys() == {1, 2, 3, None}
    assert answers[2]["result"]["got"] == {"a": 1}
    assert answers[3]["error"]["code"] == answers[None]["error"]["code"] == -32600


@WIRES
async def test_a_batch_is_refused_where_the_revision_has_none(connect: Connect) -> None:
    async with doorway(Replica()) as gateway:
        client = ChannelClient(connect(gateway), "2025-06-18")
        await client.initialize()

        await client.send([{"jsonrpc": "2.0", "id": 1, "method": "ping"}])
        refused = await client.answer_to(None)
        await client.wire.leave()

    assert refused["error"]["code"] == -32600


@WIRES
async def test_a_session_that_ends_elsewhere_ends_its_channel_when_what_runs_has_its_answer(connect: Connect) -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ChannelClient(connect(gateway))
        await client.initialize()
        await client.start("tools/call", ECHO)
        await until(lambda: bool(calls(replica)))

        await gateway.assembly.sessions.end(calls(replica)[0].call.session)
        late = await client.ask("ping", request_id="late")
        assert not client.wire.closed
        answer(calls(replica)[0], complete({"done": True}))
        answered = await client.answer_to(1)
        await until(lambda: client.wire.closed)

    assert late["error"]["message"] == "the session has ended; connect again"
    assert answered["result"]["done"] is True


@WIRES
async def test_a_gateway_that_is_about_to_end_finishes_what_runs_and_begins_nothing(connect: Connect) -> None:
    replica = Replica(behave=keep)
    async with house(replica) as built:
        gateway = built.doorway()
        client = ChannelClient(connect(gateway))
        await client.initialize()
        await client.start("tools/call", ECHO)
        await until(lambda: bool(calls(replica)))

        gateway.outlook.adopt(dataclasses.replace(view_of(built.replicas, built.plan, 2), closing=True))
        late = await client.ask("tools/call", ECHO, request_id="late")
        assert gateway.assembly.channels.full
        assert not client.wire.closed
        answer(calls(replica)[0], complete({"done": True}))
        answered = await client.answer_to(1)
        await until(lambda: client.wire.closed)

    assert late["error"]["message"] == "the session has ended; connect again"
    assert answered["result"]["done"] is True
    assert len(calls(replica)) == 1


@WIRES
async def test_one_request_too_many_is_refused_and_the_others_go_on(connect: Connect) -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ChannelClient(connect(gateway))
        await client.initialize()

        for number in range(MAX_REQUESTS):
            await client.start("tools/call", {"name": "git__echo", "arguments": number}, request_id=number)
        await until(lambda: len(calls(replica)) == MAX_REQUESTS)
        refused = await client.ask("tools/call", ECHO, request_id="one more")
        answer(calls(replica)[0], complete({}))
        await client.answer_to(arguments_of(calls(replica)[0]))
        admitted = await client.ask("ping", request_id="now")
        await client.wire.leave()

    assert refused["error"]["data"] == {"reason": "busy"}
    assert admitted["result"] == {}


async def test_who_does_not_initialize_in_time_is_let_go() -> None:
    async with doorway(Replica()) as gateway:
        channels = Channels(common(gateway, initialize_seconds=0.01))

        with channels.open(entrance(gateway), _ignore) as channel:
            assert await channel.run() is Ending.SILENT


async def test_who_does_not_read_in_time_is_let_go() -> None:
    async def never(_message: bytes) -> None:
        await asyncio.Event().wait()

    async with doorway(Replica()) as gateway:
        channels = Channels(common(gateway, write_seconds=0.01))

        with channels.open(entrance(gateway), never) as channel:
            await channel.take(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
            assert await channel.run() is Ending.UNREAD


async def test_who_sends_and_never_reads_is_let_go_before_much_has_piled_up() -> None:
    writes = 0

    async def never(_message: bytes) -> None:
        nonlocal writes
        writes += 1
        await asyncio.Event().wait()

    async with doorway(Replica()) as gateway:
        channels = Channels(common(gateway))

        with channels.open(entrance(gateway), never) as channel:
            for _ in range(10 * MAX_REPLIES):
                await channel.take(b"no message")
            assert await channel.run() is Ending.UNREAD

    assert writes <= MAX_REPLIES


async def test_nothing_is_sent_on_a_closed_channel() -> None:
    said: list[bytes] = []

    async def write(message: bytes) -> None:
        said.append(message)

    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        channels = Channels(common(gateway))
        with channels.open(entrance(gateway), write) as channel:
            await channel.take(INITIALIZE)
            await channel.take(CALL)
            await until(lambda: len(calls(replica)) == 1)
        before = list(said)

        await until(lambda: calls(replica)[0].done)
        with channels.open(entrance(gateway), _ignore) as channel:  # what comes over the same link comes after it
            await channel.take(INITIALIZE)
            await channel.take(CALL)
            await until(lambda: len(calls(replica)) == 2)

    assert len(before) == 1
    assert said == before


async def test_there_are_no_more_channels_than_may_be_and_a_closed_one_takes_nothing() -> None:
    async with doorway(Replica()) as gateway:
        channels = Channels(common(gateway), max_channels=1)

        with channels.open(entrance(gateway), _ignore) as channel:
            assert channels.full
            assert await channels.take(channel.id, b"{}")
        assert not channels.full
        assert not await channels.take(channel.id, b"{}")


async def _ignore(_message: bytes) -> None:
    return
