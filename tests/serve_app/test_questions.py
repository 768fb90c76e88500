"""Questions of servers to handshake clients: asked on the stream of the call, answered wherever the answer lands."""

import json
from typing import Any

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.core import ask
from actors.core.revisions import Era
from tests.support.asgi import Conversation
from tests.support.bus import until
from tests.support.house import Replica, answer, doorway, house, keep
from tests.support.posts import LegacyClient

ECHO = {"name": "git__echo", "arguments": {}}
FORM = {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}
ACCEPTED = {"action": "accept", "content": {}}


async def session(gateway: Any, revision: str = "2025-11-25", path: str = "/mcp") -> LegacyClient:
    client = LegacyClient(gateway, path, revision=revision)
    await client.initialize(capabilities={"elicitation": {}})
    return client


def put(exchange: Exchange, params: Any = None, method: str = "elicitation/create") -> int:
    assert exchange.emit(EventKind.ASK, ask.ask(method, json.dumps(params or FORM).encode()))
    return exchange.last_seq


async def asked(client: LegacyClient, replica: Replica) -> tuple[Conversation, Exchange]:
    """A call whose server has asked something that the client has heard."""
    conversation = client.start("tools/call", ECHO)
    await until(lambda: bool(replica.exchanges))
    exchange = replica.exchanges[-1]
    put(exchange)
    await conversation.until(lambda each: each.streams and len(each.events) == 1)
    return conversation, exchange


async def test_a_question_is_a_request_on_the_stream_of_its_call_and_the_answer_reaches_the_server() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = await session(gateway)
        conversation, exchange = await asked(client, replica)
        question = conversation.events[0]

        posted = await client.answer(question, ACCEPTED)
        await until(lambda: bool(replica.answers))
        answer(exchange, {"done": True}, Era.HANDSHAKE)
        answered = await conversation.answered()

    assert (question["method"], question["params"]) == ("elicitation/create", FORM)
    assert (posted.status, posted.body) == (202, b"")
    ((number, value),) = replica.answers
    assert (number, json.loads(value)) == (1, {"result": ACCEPTED})
    assert answered.events[-1] == {"jsonrpc": "2.0", "id": 1, "result": {"done": True}}


async def test_an_answer_may_come_to_any_ingress_replica_and_counts_once() -> None:
    replica = Replica(behave=keep)
    async with house(replica) as built:
        here, there = built.doorway(), built.doorway()
        client = await session(here)
        await there.linked()
        conversation, _ = await asked(client, replica)

        await client.at(there).answer(conversation.events[0], ACCEPTED)
        await client.answer(conversation.events[0], {"action": "cancel"})
        await until(lambda: bool(replica.answers))
        put(replica.exchanges[0])
        await conversation.until(lambda each: len(each.events) == 2)

    assert [json.loads(value) for _, value in replica.answers] == [{"result": ACCEPTED}]


async def test_nobody_answers_for_another_session() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client, stranger = await session(gateway), await session(gateway)
        conversation, _ = await asked(client, replica)

        posted = await stranger.answer(conversation.events[0], ACCEPTED)
        put(replica.exchanges[0])
        await conversation.until(lambda each: len(each.events) == 2)

    assert posted.status == 202
    assert replica.answers == []


async def test_a_question_that_is_taken_back_is_cancelled_under_the_id_it_was_put_with() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = await session(gateway)
        conversation, exchange = await asked(client, replica)

        exchange.emit(EventKind.WITHDRAWN, b"1")
        await conversation.until(lambda each: len(each.events) == 2)

    question, cancelled = conversation.events
    assert cancelled["method"] == "notifications/cancelled"
    assert cancelled["params"]["requestId"] == question["id"]


async def test_an_error_of_the_client_reaches_the_server_as_one() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = await session(gateway)
        conversation, _ = await asked(client, replica)
        error = {"code": -1, "message": "User rejected"}

        await client.start_raw({"jsonrpc": "2.0", "id": conversation.events[0]["id"], "error": error}).answered()
        await until(lambda: bool(replica.answers))

    assert json.loads(replica.answers[0][1]) == {"error": error}


async def test_a_client_without_streams_is_not_asked_and_the_server_is_told_so() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = await session(gateway)
        conversation = client.start("tools/call", ECHO, headers={"accept": "application/json"})
        await until(lambda: bool(replica.exchanges))
        put(replica.exchanges[0])
        await until(lambda: bool(replica.answers))
        answer(replica.exchanges[0], {"done": True}, Era.HANDSHAKE)
        answered = await conversation.answered()

    assert "no streams" in json.loads(replica.answers[0][1])["error"]["message"]
    assert answered.json["result"] == {"done": True}
    assert replica.exchanges[0].call.interactive is False


async def test_what_a_revision_cannot_be_asked_is_refused_to_the_server_with_the_reason() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = await session(gateway, "2025-03-26")
        client.start("tools/call", ECHO)
        await until(lambda: bool(replica.exchanges))
        put(replica.exchanges[0])
        await until(lambda: bool(replica.answers))

    assert "2025-06-18" in json.loads(replica.answers[0][1])["error"]["message"]
