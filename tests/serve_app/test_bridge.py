"""Questions of servers to modern clients: `input_required`, a sealed state, and what a retry leads to."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from actors.bus.frames import EventKind
from actors.core import ask
from actors.core.outcome import Reply
from actors.core.principal import Kind, Principal, Verdict
from actors.core.revisions import Era
from serve_app.downstream.bridge import STATE_SECONDS
from tests.support.asgi import Conversation
from tests.support.bus import until
from tests.support.house import Plan, Replica, answer, complete, doorway, house, keep
from tests.support.posts import ModernClient

ECHO = {"name": "git__echo", "arguments": {"n": 1}}
FORM = {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}
ACCEPTED = {"action": "accept", "content": {}}
REQUIRED = {
    "resultType": "input_required",
    "inputRequests": {"who": {"method": "elicitation/create", "params": FORM}},
    "requestState": "the server's",
}


def put(replica: Replica, number: int = 0) -> None:
    data = ask.ask("elicitation/create", json.dumps(FORM).encode())
    assert replica.exchanges[number].emit(EventKind.ASK, data)


async def parked(client: ModernClient, replica: Replica, params: Mapping[str, Any] = ECHO) -> Any:
    """The result that a question of a handshake server leads to."""
    before = len(replica.exchanges)
    conversation = client.start("tools/call", params)
    await until(lambda: len(replica.exchanges) > before)
    put(replica, before)
    return (await conversation.answered()).json["result"]


def retry(result: Any, answers: Mapping[str, Any] | None = None, params: Mapping[str, Any] = ECHO) -> dict[str, Any]:
    given = dict.fromkeys(result["inputRequests"], ACCEPTED) if answers is None else answers
    return {**params, "inputResponses": given, "requestState": result["requestState"]}


def refused(conversation: Conversation) -> tuple[int, int, str]:
    error = conversation.json["error"]
    return conversation.status, error["code"], error["data"]["reason"]


async def test_a_handshake_servers_question_ends_the_request_and_its_answer_is_given_to_the_waiting_call() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ModernClient(gateway)
        result = await parked(client, replica)

        retried = client.start("tools/call", retry(result), request_id=2)
        await until(lambda: bool(replica.answers))
        answer(replica.exchanges[0], {"content": []}, Era.HANDSHAKE)
        answered = await retried.answered()

    assert result["resultType"] == "input_required"
    assert list(result["inputRequests"].values()) == [{"method": "elicitation/create", "params": FORM}]
    assert json.loads(replica.answers[0][1]) == {"result": ACCEPTED}
    assert (answered.json["id"], answered.json["result"]["content"]) == (2, [])
    assert len(replica.exchanges) == 1


async def test_the_retry_may_come_to_another_ingress_replica() -> None:
    replica = Replica(behave=keep)
    async with house(replica) as built:
        here, there = built.doorway(), built.doorway()
        await there.linked()
        result = await parked(ModernClient(here), replica)

        retried = ModernClient(there).start("tools/call", retry(result), request_id=2)
        await until(lambda: bool(replica.answers))
        answer(replica.exchanges[0], {"content": []}, Era.HANDSHAKE)

        assert (await retried.answered()).json["result"]["content"] == []


async def test_a_state_is_good_for_one_retry_and_a_repetition_disturbs_nobody() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ModernClient(gateway)
        result = await parked(client, replica)
        first = client.start("tools/call", retry(result), request_id=2)
        await until(lambda: bool(replica.answers))

        repeated = await client.ask("tools/call", retry(result), request_id=3)
        answer(replica.exchanges[0], {"content": []}, Era.HANDSHAKE)

        assert refused(repeated) == (400, -32602, "replayed")
        assert (await first.answered()).json["result"]["content"] == []
        assert len(replica.answers) == 1


async def test_what_was_not_answered_is_asked_again() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ModernClient(gateway)
        result = await parked(client, replica)

        again = await client.ask("tools/call", retry(result, {"more": {}}), request_id=2)

    assert again.json["result"]["inputRequests"] == result["inputRequests"]
    assert again.json["result"]["requestState"] != result["requestState"]
    assert replica.answers == []


async def test_a_waiting_call_whose_replica_died_is_a_clean_error_and_is_not_made_again() -> None:
    replica = Replica(behave=keep)
    async with house(replica) as built:
        gateway = built.doorway()
        client = ModernClient(gateway)
        result = await parked(client, replica)
        await replica.restart()
        await gateway.linked(2)

        retried = await client.ask("tools/call", retry(result), request_id=2)

    assert refused(retried) == (200, -32603, "disconnected")
    assert len(replica.exchanges) == 1


async def test_a_modern_servers_question_is_handed_on_with_its_state_sealed_and_given_back_to_it() -> None:
    replica = Replica(behave=lambda exchange: exchange.finish(Reply(json.dumps(REQUIRED).encode(), Era.MODERN)))
    async with doorway(replica) as gateway:
        client = ModernClient(gateway)
        result = (await client.ask("tools/call", ECHO)).json["result"]
        await client.ask("tools/call", retry(result), request_id=2)

    assert result["inputRequests"] == REQUIRED["inputRequests"]
    assert "the server's" not in result["requestState"]
    first, second = (exchange.call for exchange in replica.exchanges)
    assert json.loads(second.params) == {
        "name": "echo",
        "arguments": {"n": 1},
        "inputResponses": {"who": ACCEPTED},
        "requestState": "the server's",
    }
    assert (first.ticket, len(second.ticket)) == (b"", 12)
    assert not first.interactive


async def test_a_url_that_must_be_opened_first_is_asked_for_and_the_call_then_made_anew() -> None:
    elicitation = {"mode": "url", "message": "sign in", "url": "https://x.example/", "elicitationId": "e1"}
    error = {"code": -32042, "message": "first", "data": {"elicitations": [elicitation]}}

    def required(exchange: Any) -> None:
        exchange.finish(Reply(json.dumps(error).encode(), Era.HANDSHAKE, is_error=True))

    replica = Replica(behave=required)
    async with doorway(replica) as gateway:
        client = ModernClient(gateway)
        result = (await client.ask("tools/call", ECHO)).json["result"]
        await client.ask("tools/call", retry(result), request_id=2)

    (request,) = result["inputRequests"].values()
    assert request["params"] == {"mode": "url", "message": "sign in", "url": "https://x.example/"}
    assert json.loads(replica.exchanges[1].call.params) == {"name": "echo", "arguments": {"n": 1}}


def changes(state: str) -> Iterator[str]:
    for place in range(0, len(state), 17):
        yield state[:place] + ("A" if state[place] != "A" else "B") + state[place + 1 :]
    yield from ("", "x", state[:-4], state + "AAAA", "ä", state.upper())


async def test_a_state_that_was_changed_anywhere_is_refused() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ModernClient(gateway)
        result = await parked(client, replica)
        for changed in changes(result["requestState"]):
            answered = await client.ask("tools/call", retry({**result, "requestState": changed}), request_id=2)
            assert refused(answered) == (400, -32602, "state_invalid")

    assert replica.answers == []
    assert len(replica.exchanges) == 1


async def test_a_state_is_worth_nothing_for_another_request_endpoint_or_time() -> None:
    replica = Replica(behave=keep)
    async with house(replica) as built:
        gateway = built.doorway()
        result = await parked(ModernClient(gateway), replica)
        other = retry(result, params={"name": "git__echo", "arguments": {"n": 2}})
        elsewhere = retry(result, params={"name": "echo", "arguments": {"n": 1}})

        for client, params, reason in (
            (ModernClient(gateway), other, "state_mismatch"),
            (ModernClient(gateway, "/servers/git/mcp"), elsewhere, "state_invalid"),
        ):
            assert refused(await client.ask("tools/call", params, request_id=2)) == (400, -32602, reason)
        built.clock.advance(STATE_SECONDS)
        late = await ModernClient(gateway).ask("tools/call", retry(result), request_id=2)

    assert refused(late) == (400, -32602, "state_expired")
    assert replica.answers == []


async def test_a_state_is_worth_nothing_to_another_principal() -> None:
    async def verify(credential: str) -> Verdict:
        return Verdict(Principal(credential, "", Kind.KEY), None, 60.0)

    replica = Replica(behave=keep)
    async with doorway(replica, plan=Plan(verify=verify)) as gateway:
        mine = ModernClient(gateway, headers=[("x-api-key", "me")])
        result = await parked(mine, replica)

        stolen = ModernClient(gateway, headers=[("x-api-key", "thief")])
        answered = await stolen.ask("tools/call", retry(result), request_id=2)

    assert refused(answered) == (400, -32602, "state_invalid")
    assert replica.answers == []


@pytest.mark.parametrize("answers", [[], "x", 5])
async def test_answers_that_are_no_object_are_an_invalid_parameter(answers: Any) -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ModernClient(gateway)
        result = await parked(client, replica)

        answered = await client.ask("tools/call", {**retry(result), "inputResponses": answers}, request_id=2)

    assert (answered.status, answered.json["error"]["code"]) == (400, -32602)


async def test_the_same_values_in_another_order_are_the_same_request() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = ModernClient(gateway)
        result = await parked(client, replica, {"name": "git__echo", "arguments": {"a": 1, "b": 2}})
        params = retry(result, params={"arguments": {"b": 2, "a": 1}, "name": "git__echo"})
        retried = client.start("tools/call", params, request_id=2)
        await until(lambda: bool(replica.answers))
        answer(replica.exchanges[0], complete({"content": []}))

        assert (await retried.answered()).status == 200
