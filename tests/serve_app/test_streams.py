"""What belongs to no request: the streams of sessions, and the subscriptions of modern clients."""

import dataclasses
import json
from typing import Any

import pytest

from actors.bus.frames import EventKind
from actors.core.listing import Facts, Item, Listing
from actors.core.revisions import Era
from actors.watchers import BEGUN
from tests.support.asgi import Conversation
from tests.support.bus import until
from tests.support.house import LISTING, Doorway, House, Plan, Replica, answer, doorway, follow, house, keep, view_of
from tests.support.posts import LegacyClient, ModernClient

SUBSCRIBABLE = Facts(
    Era.HANDSHAKE, "2025-11-25", b"{}", b'{"tools":{},"resources":{"subscribe":true},"prompts":{},"logging":{}}'
)
PLAN = Plan(facts={"git": SUBSCRIBABLE}, keep_alive=30.0)
TOOLS_CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {}}
URI = "file:///a"


def change_tools(built: House, gateway: Doorway, version: int) -> None:
    """The Router publishes another list of tools."""
    name = f"tool_{version}"
    tools = (*LISTING.tools, Item(name, b'{"name":"%b"}' % name.encode()))
    listing = Listing(tools, LISTING.resources, (), LISTING.prompts)
    plan = dataclasses.replace(built.plan, listings={"git": listing})
    gateway.outlook.adopt(view_of(built.replicas, plan, version))


async def session(gateway: Any, **more: Any) -> LegacyClient:
    client = LegacyClient(gateway, **more)
    await client.initialize()
    return client


async def opened(conversation: Conversation) -> Conversation:
    await conversation.until(lambda each: each.streams)
    return conversation


async def test_a_session_hears_on_its_stream_that_a_list_changed_once_for_many_changes() -> None:
    async with house(Replica(), plan=PLAN) as built:
        gateway = built.doorway()
        stream = await opened((await session(gateway)).listen())

        for version in range(2, 12):
            change_tools(built, gateway, version)
        await stream.until(lambda each: len(each.events) > 0)
        change_tools(built, gateway, 20)
        await stream.until(lambda each: len(each.events) > 1 and each.events[-1] == TOOLS_CHANGED)
        await stream.leave()

    heard = [event for event in stream.events if event == TOOLS_CHANGED]
    assert len(heard) == len(stream.events) == 2


async def test_a_stream_that_broke_is_told_elsewhere_what_changed_meanwhile_and_nothing_else() -> None:
    async with house(Replica(), plan=PLAN) as built:
        here, there = built.doorway(), built.doorway()
        client = await session(here)
        broken = await opened(client.listen())
        await broken.leave()
        quiet = await opened(client.at(there).listen(broken.last_event_id))
        assert quiet.events == []
        await quiet.leave()

        change_tools(built, there, 2)
        resumed = await opened(client.at(there).listen(broken.last_event_id))
        await resumed.until(lambda each: bool(each.events))
        await resumed.leave()

    assert TOOLS_CHANGED in resumed.events


async def test_of_two_streams_of_a_session_the_latest_is_told() -> None:
    async with house(Replica(), plan=PLAN) as built:
        gateway = built.doorway()
        client = await session(gateway)
        former = await opened(client.listen())
        latter = await opened(client.listen())

        change_tools(built, gateway, 2)
        await latter.until(lambda each: bool(each.events))
        await former.leave()
        await latter.leave()

    assert former.events == []


async def test_a_resource_that_was_subscribed_to_is_announced_under_the_clients_name_until_unsubscribed() -> None:
    replica = Replica(behave=follow)
    async with doorway(replica, plan=PLAN) as gateway:
        client = await session(gateway)
        stream = await opened(client.listen())

        subscribed = await client.ask("resources/subscribe", {"uri": URI})
        await until(lambda: bool(replica.exchanges))
        (exchange,) = replica.exchanges
        exchange.emit(EventKind.CHANGED, b'{"uri":"file:///a","_meta":{"x":1}}')
        await stream.until(lambda each: bool(each.events))
        await client.ask("resources/unsubscribe", {"uri": URI})
        await until(lambda: bool(replica.cancellations))
        await stream.leave()

    assert subscribed.json["result"] == {}
    assert json.loads(exchange.call.params) == {"resourceSubscriptions": [URI]}
    (event,) = stream.events
    assert (event["method"], event["params"]) == ("notifications/resources/updated", {"uri": URI})


async def test_a_subscription_is_answered_when_the_server_has_agreed_so_nothing_later_is_missed() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica, plan=PLAN) as gateway:
        client = await session(gateway)
        stream = await opened(client.listen())
        asked = client.start("resources/subscribe", {"uri": URI})
        listening = listen(ModernClient(gateway), resourceSubscriptions=[URI])
        await until(lambda: len(replica.exchanges) == 2)
        early = [*asked.sent, *listening.sent]

        for exchange in replica.exchanges:
            exchange.emit(EventKind.CHANGED, BEGUN)
        await asked.answered()
        await listening.until(lambda each: len(each.events) == 1)
        for each in (stream, listening):
            await each.leave()

    assert early == []
    assert asked.json["result"] == {}
    assert stream.events == []


async def test_a_client_that_comes_back_is_told_that_its_resources_may_have_changed() -> None:
    async with doorway(Replica(behave=follow), plan=PLAN) as gateway:
        client = await session(gateway)
        broken = await opened(client.listen())
        await client.ask("resources/subscribe", {"uri": URI})
        await broken.leave()

        resumed = client.listen(broken.last_event_id)
        await resumed.until(lambda each: bool(each.events))
        await resumed.leave()

    assert [event["params"]["uri"] for event in resumed.events] == [URI]


async def test_what_nobody_has_or_nobody_follows_cannot_be_subscribed_to() -> None:
    async with doorway(Replica(), plan=PLAN) as gateway:
        unknown = await (await session(gateway)).ask("resources/subscribe", {"uri": "file:///no"})
    async with doorway(Replica()) as gateway:
        unfollowed = await (await session(gateway)).ask("resources/subscribe", {"uri": URI})

    assert unknown.json["error"]["code"] == -32002
    assert unfollowed.json["error"]["code"] == -32601


async def test_the_end_of_a_session_ends_its_stream_and_the_id_is_unknown_from_then_on() -> None:
    replica = Replica()
    async with doorway(replica, plan=PLAN) as gateway:
        client = await session(gateway)
        stream = await opened(client.listen())
        await gateway.linked()

        ended = await client.start_raw(None, verb="DELETE").answered()
        await stream.answered()
        after = await client.ask("ping")
        await until(lambda: bool(replica.origins))

    assert ended.status in (200, 202, 204)
    assert stream.whole
    assert after.status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"accept": "application/json"}, 406),
        ({"mcp-session-id": None}, 400),
        ({"mcp-session-id": "A" * 64}, 404),
        ({"mcp-protocol-version": "2026-07-28"}, 405),
    ],
)
async def test_a_stream_needs_what_it_needs(headers: dict[str, str | None], status: int) -> None:
    async with doorway(Replica()) as gateway:
        client = await session(gateway)
        answered = await client.start_raw(None, headers, verb="GET").answered()

    assert answered.status == status


def listen(client: ModernClient, request_id: Any = "sub", **wanted: Any) -> Conversation:
    return client.start("subscriptions/listen", {"notifications": wanted}, request_id=request_id)


async def test_a_subscription_is_acknowledged_first_and_tells_what_was_asked_for_under_its_own_id() -> None:
    replica = Replica(behave=follow)
    async with house(replica, plan=PLAN) as built:
        gateway = built.doorway()
        wanted = {"toolsListChanged": True, "resourceSubscriptions": [URI, "file:///unknown"]}
        stream = listen(ModernClient(gateway), **wanted)
        await until(lambda: bool(replica.exchanges))
        change_tools(built, gateway, 2)
        replica.exchanges[0].emit(EventKind.CHANGED, b'{"uri":"file:///a"}')
        await stream.until(lambda each: len(each.events) == 3)
        await stream.leave()
        await until(lambda: bool(replica.cancellations))

    acknowledged, *rest = stream.events
    meta = {"io.modelcontextprotocol/subscriptionId": "sub"}
    assert acknowledged == {
        "jsonrpc": "2.0",
        "method": "notifications/subscriptions/acknowledged",
        "params": {"_meta": meta, "notifications": {"toolsListChanged": True, "resourceSubscriptions": [URI]}},
    }
    assert [event["method"] for event in rest] == [
        "notifications/tools/list_changed",
        "notifications/resources/updated",
    ]
    assert all(event["params"]["_meta"] == meta for event in rest)
    assert b"\nid:" not in stream.body


async def test_subscriptions_end_in_good_order_when_the_gateway_is_about_to_end() -> None:
    async with house(Replica(), plan=PLAN) as built:
        gateway = built.doorway()
        stream = listen(ModernClient(gateway), 7, toolsListChanged=True)
        session_stream = await opened((await session(gateway)).listen())
        await stream.until(lambda each: len(each.events) == 1)

        gateway.outlook.adopt(dataclasses.replace(gateway.outlook.view, closing=True))
        await stream.answered()
        await session_stream.answered()

    assert stream.events[-1] == {
        "jsonrpc": "2.0",
        "id": 7,
        "result": {"resultType": "complete", "_meta": {"io.modelcontextprotocol/subscriptionId": 7}},
    }


@pytest.mark.parametrize("params", [{}, {"notifications": []}, {"notifications": {"toolsListChanged": "yes"}}])
async def test_a_subscription_without_a_proper_filter_is_refused(params: dict[str, Any]) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway).ask("subscriptions/listen", params)

    assert (answered.status, answered.json["error"]["code"]) == (400, -32602)


async def test_messages_in_a_batch_are_answered_together_in_the_revision_that_has_batches() -> None:
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": "2", "method": "tools/call", "params": {"name": "git__echo"}},
        {"jsonrpc": "2.0", "id": 3, "method": "no/such"},
        {"jsonrpc": "1.0"},
    ]
    async with doorway(Replica(), plan=PLAN) as gateway:
        answered = await (await session(gateway, revision="2025-03-26")).start_raw(batch).answered()
        refused = await (await session(gateway)).start_raw(batch).answered()
        noted = await (await session(gateway, revision="2025-03-26")).start_raw(batch[1:2]).answered()

    by_id = {response["id"]: response for response in answered.json}
    assert (answered.status, len(answered.json)) == (200, 4)
    assert by_id[1]["result"] == {}
    assert by_id["2"]["result"]["name"] == "echo"
    assert by_id[3]["error"]["code"] == -32601
    assert by_id[None]["error"]["code"] == -32600
    assert refused.status == 400
    assert (noted.status, noted.body) == (202, b"")


async def test_a_batch_in_which_something_happens_becomes_a_stream_of_all_answers() -> None:
    replica = Replica(behave=keep)
    call = {"name": "git__echo", "_meta": {"progressToken": 9}}
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    async with doorway(replica, plan=PLAN) as gateway:
        conversation = (await session(gateway, revision="2025-03-26")).start_raw(batch)
        await until(lambda: bool(replica.exchanges))
        replica.exchanges[0].emit(EventKind.PROGRESS, b'{"progress":1}')
        await conversation.until(lambda each: len(each.events) == 2)
        answer(replica.exchanges[0], {"done": True}, Era.HANDSHAKE)
        answered = await conversation.answered()

    assert [event.get("id", event.get("method")) for event in answered.events] == [1, "notifications/progress", 2]
    assert answered.whole
