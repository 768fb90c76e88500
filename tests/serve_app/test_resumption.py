"""A handshake client whose stream breaks comes back with an event id, at any ingress replica, and misses nothing."""

import json
from typing import Any

import pytest

from actors.bus.frames import EventKind
from actors.core import ask
from actors.core.revisions import Era
from tests.support.asgi import Conversation
from tests.support.bus import until
from tests.support.house import Plan, Replica, answer, doorway, house, keep
from tests.support.posts import LegacyClient

CALL = {"name": "git__echo", "arguments": {}, "_meta": {"progressToken": "t"}}


async def session(gateway: Any, **more: Any) -> LegacyClient:
    client = LegacyClient(gateway, **more)
    await client.initialize(capabilities={"elicitation": {}})
    return client


def progress(replica: Replica, done: int) -> None:
    assert replica.exchanges[0].emit(EventKind.PROGRESS, b'{"progress":%d}' % done)


async def begun(client: LegacyClient, replica: Replica, *done: int) -> Conversation:
    """A call that has told of this progress."""
    conversation = client.start("tools/call", CALL, request_id="call")
    await until(lambda: bool(replica.exchanges))
    for each in done:
        progress(replica, each)
    await conversation.until(lambda each: len(each.events) == len(done))
    return conversation


def told(conversation: Conversation) -> list[Any]:
    return [event.get("params", {}).get("progress", event.get("result")) for event in conversation.events]


async def test_a_client_reads_on_at_another_ingress_replica_after_the_last_event_it_saw() -> None:
    replica = Replica(behave=keep)
    async with house(replica) as built:
        here, there = built.doorway(), built.doorway()
        await there.linked()
        client = await session(here)
        broken = await begun(client, replica, 1, 2)
        await broken.leave()
        progress(replica, 3)

        resumed = client.at(there).listen(broken.last_event_id)
        await resumed.until(lambda each: len(each.events) == 1)
        progress(replica, 4)
        answer(replica.exchanges[0], {"done": True}, Era.HANDSHAKE)
        await resumed.answered()

    assert told(resumed) == [3, 4, {"done": True}]
    assert resumed.events[0]["params"]["progressToken"] == "t"
    assert resumed.events[-1]["id"] == "call"
    assert resumed.whole
    assert len(replica.exchanges) == 1


async def test_an_answer_that_was_ready_while_nobody_listened_is_still_there() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = await session(gateway)
        broken = await begun(client, replica, 1)
        await broken.leave()
        answer(replica.exchanges[0], {"done": True}, Era.HANDSHAKE)

        resumed = await client.listen(broken.last_event_id).answered()
        again = await client.listen(broken.last_event_id).answered()

    assert told(resumed) == told(again) == [{"done": True}]


async def test_a_question_is_not_put_twice_and_can_be_answered_after_the_break() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = await session(gateway)
        broken = await begun(client, replica, 1)
        replica.exchanges[0].emit(EventKind.ASK, ask.ask("elicitation/create", b'{"message":"who?"}'))
        await broken.until(lambda each: len(each.events) == 2)
        await broken.leave()

        resumed = client.listen(broken.last_event_id)
        progress(replica, 2)
        await resumed.until(lambda each: len(each.events) == 1)
        await client.answer(broken.events[1], {"action": "decline"})
        await until(lambda: bool(replica.answers))

    assert told(resumed) == [2]
    assert json.loads(replica.answers[0][1]) == {"result": {"action": "decline"}}


async def test_the_latest_reader_gets_the_answer_and_the_former_nothing_that_is_wrong() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = await session(gateway)
        former = await begun(client, replica, 1)
        latter = client.listen(former.last_event_id)
        await former.answered()
        progress(replica, 2)
        answer(replica.exchanges[0], {"done": True}, Era.HANDSHAKE)
        await latter.answered()

    assert told(latter) == [2, {"done": True}]
    assert told(former) == [1]
    assert former.whole


@pytest.mark.parametrize("changed", ["x", "x.1", ".1", "9" * 40, "ä.1"])
async def test_an_event_id_that_is_none_of_ours_is_refused(changed: str) -> None:
    async with doorway(Replica(behave=keep)) as gateway:
        answered = await (await session(gateway)).listen(changed).answered()

    assert (answered.status, answered.json["error"]["code"]) == (400, -32600)


async def test_an_event_id_is_worth_nothing_in_another_session() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        broken = await begun(await session(gateway), replica, 1)
        await broken.leave()

        stolen = await (await session(gateway)).listen(broken.last_event_id).answered()

    assert stolen.status == 400


async def test_the_answer_of_a_replica_that_died_meanwhile_is_an_error_for_that_request() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = await session(gateway)
        broken = await begun(client, replica, 1)
        await broken.leave()
        await replica.restart()
        await gateway.linked(2)

        resumed = await client.listen(broken.last_event_id).answered()

    error = resumed.json if not resumed.streams else resumed.events[0]
    assert (error["id"], error["error"]["data"]["reason"]) == ("call", "disconnected")
    assert len(replica.exchanges) == 1


@pytest.mark.parametrize(("revision", "primed"), [("2025-11-25", True), ("2025-06-18", False)])
async def test_a_silent_call_of_a_new_client_gets_an_event_id_before_anything_else(revision: str, primed: bool) -> None:
    replica = Replica(behave=keep)
    async with doorway(replica, plan=Plan(keep_alive=0.05)) as gateway:
        client = await session(gateway, revision=revision)
        conversation = client.start("tools/call", CALL)
        await conversation.until(lambda each: each.streams)
        answer(replica.exchanges[0], {"done": True}, Era.HANDSHAKE)
        answered = await conversation.answered()

    assert (b"retry: " in answered.body) is primed
    assert bool(answered.last_event_id) is primed
    assert told(answered) == [{"done": True}]
