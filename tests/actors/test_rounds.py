"""What a modern server wants to know, an interactive client is asked; another gets the question as the reply."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from actors.upstream.round import FIRST_PAUSE, LONGEST_PAUSE, MAX_ROUNDS
from tests.support.bus import UNHURRIED
from tests.support.conversations import Modern, discovered
from tests.support.upstreams import (
    Json,
    ListenerRecorder,
    Refuse,
    TableServer,
    always,
    modern_server,
    refuse,
    ticks,
    tool_call,
)

EVERYTHING = b'{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}'
ELICIT = {"method": "elicitation/create", "params": {"message": "who?", "requestedSchema": {"type": "object"}}}
SAMPLE = {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}
ROOTS = {"method": "roots/list", "params": {}}
DONE = {"resultType": "complete", "content": []}
ACCEPT = {"action": "accept", "content": {"name": "x"}}


def wanting(state: str | None = None, /, **requests: Json) -> Json:
    """A result that asks."""
    return {
        "resultType": "input_required",
        **({"inputRequests": requests} if requests else {}),
        **({} if state is None else {"requestState": state}),
    }


async def asking(*results: Json) -> Modern:
    """A server that gives one result after another, the last again and again."""
    server, remaining = modern_server(), list(results)
    server.answers["tools/call"] = lambda _: remaining.pop(0) if len(remaining) > 1 else remaining[0]
    return await discovered(server)


async def started(modern: Modern, **fields: Any) -> tuple[int, ListenerRecorder]:
    """An interactive call, and the first result is there."""
    number, listener = modern.start(**{"interactive": True, "capabilities": EVERYTHING, **fields})
    await ticks()
    return number, listener


def retries(server: TableServer) -> list[Json]:
    """What each request after the first had beyond the first."""
    first, *others = server.params_of("tools/call")
    return [{key: value for key, value in other.items() if key not in first or value != first[key]} for other in others]


async def test_an_interactive_client_is_asked_and_its_answers_go_back_in_a_new_request():
    modern = await asking(wanting("s-1", user=ELICIT, where=ROOTS), DONE)
    number, listener = await started(modern, wants_progress=True, arguments={"n": 1})

    listener.answer(1, result={"roots": []})
    before = modern.server.methods.count("tools/call")
    listener.answer(0, result=ACCEPT)

    assert await listener.outcome() == Reply(json.dumps(DONE).encode(), Era.MODERN)
    assert listener.asked == [ELICIT, ROOTS]
    assert before == 1
    first, second = modern.server.params_of("tools/call")
    assert (second["name"], second["arguments"]) == (first["name"], {"n": 1})
    assert second["inputResponses"] == {"user": ACCEPT, "where": {"roots": []}}
    assert second["requestState"] == "s-1"
    ids = modern.server.ids_of("tools/call")
    assert ids[0] == number != ids[1]
    assert [params["_meta"]["progressToken"] for params in (first, second)] == ids


async def test_each_round_repeats_only_its_own_answers_and_state():
    modern = await asking(wanting("one", a=ROOTS), wanting(b=ROOTS), wanting("three", c=ROOTS), DONE)
    _, listener = await started(modern)

    for number in range(3):
        listener.answer(number, result={"roots": [number]})
        await ticks()

    assert [{key: value for key, value in retry.items() if key != "_meta"} for retry in retries(modern.server)] == [
        {"inputResponses": {"a": {"roots": [0]}}, "requestState": "one"},
        {"inputResponses": {"b": {"roots": [1]}}},
        {"inputResponses": {"c": {"roots": [2]}}, "requestState": "three"},
    ]
    assert len(set(modern.server.ids_of("tools/call"))) == 4
    assert isinstance(await listener.outcome(), Reply)


@UNHURRIED
@given(state=st.text(), names=st.lists(st.text(), min_size=1, max_size=4, unique=True), data=st.data())
async def test_every_answer_always_goes_back_under_its_own_name_with_the_state_unchanged(
    state: str, names: list[str], data: st.DataObject
):
    modern = await asking(wanting(state, **dict.fromkeys(names, ROOTS)), DONE)
    _, listener = await started(modern)

    for number in data.draw(st.permutations(range(len(names)))):
        listener.answer(number, result={"roots": [number]})
    await listener.outcome()

    last = modern.server.params_of("tools/call")[-1]
    assert last["requestState"] == state
    assert last["inputResponses"] == {name: {"roots": [number]} for number, name in enumerate(names)}


async def test_a_client_that_is_not_interactive_gets_the_question_as_it_is():
    modern = await asking(wanting("s", user=ELICIT))

    listener = await modern.call(capabilities=EVERYTHING)

    assert listener.asked == []
    assert listener.outcomes == [Reply(json.dumps(wanting("s", user=ELICIT)).encode(), Era.MODERN)]


async def test_its_retry_is_passed_on_with_the_state_byte_for_byte():
    modern = await asking(DONE)
    params = b'{"name":"echo","requestState":"\\u00e9\\/x","inputResponses":{"user":{"action":"decline"}}}'
    listener = ListenerRecorder()

    modern.upstream.start(msgspec.structs.replace(tool_call(), params=params), listener)
    await listener.outcome()

    assert b'"requestState":"\\u00e9\\/x"' in modern.transport.requests[-1].body


async def test_a_server_that_only_wants_to_be_asked_again_is_asked_ever_more_slowly():
    modern = await asking(wanting("s"))
    _, listener = await started(modern)

    for _ in range(MAX_ROUNDS):
        modern.timers.go_off()
        await ticks()

    assert modern.timers.pauses[:4] == [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4, FIRST_PAUSE * 8]
    assert max(modern.timers.pauses) == LONGEST_PAUSE
    assert all(retry["requestState"] == "s" and "inputResponses" not in retry for retry in retries(modern.server))
    assert (await listener.outcome()).kind is FailureKind.PROTOCOL
    assert len(modern.server.ids_of("tools/call")) == MAX_ROUNDS + 1


async def test_a_server_that_never_stops_asking_is_given_up():
    modern = await asking(wanting(user=ROOTS))
    _, listener = await started(modern)

    for number in range(MAX_ROUNDS):
        listener.answer(number, result={"roots": []})
        await ticks()

    outcome = await listener.outcome()
    assert outcome == Failure(FailureKind.PROTOCOL, "git", f"it still asked after {MAX_ROUNDS} rounds")


async def test_an_elicitation_that_failed_is_a_cancelled_one():
    modern = await asking(wanting(user=ELICIT), DONE)
    _, listener = await started(modern)

    listener.answer(error={"code": -32601, "message": "no dialogs here"})

    assert isinstance(await listener.outcome(), Reply)
    assert modern.server.params_of("tools/call")[-1]["inputResponses"] == {"user": {"action": "cancel"}}


@pytest.mark.parametrize("question", [SAMPLE, ROOTS])
async def test_any_other_question_that_failed_ends_the_call_with_the_clients_error(question: Json):
    modern = await asking(wanting(first=ELICIT, second=question), DONE)
    _, listener = await started(modern)
    error = {"code": -1, "message": "user rejected", "data": {"x": 1}}

    listener.answer(1, error=error)
    listener.answer(0, result=ACCEPT)

    assert await listener.outcome() == Reply(json.dumps(error).encode(), Era.MODERN, is_error=True)
    assert listener.withdrawn == [0]
    assert modern.server.methods.count("tools/call") == 1


async def test_what_is_no_answer_is_an_error():
    modern = await asking(wanting(where=ROOTS), DONE)
    _, listener = await started(modern)

    listener.answer(result="text")

    outcome = await listener.outcome()
    assert outcome.is_error
    assert json.loads(outcome.body)["code"] == jsonrpc.INTERNAL_ERROR


@pytest.mark.parametrize(
    ("capabilities", "question"),
    [
        (b"{}", ELICIT),
        (b'{"elicitation":{}}', {"method": "elicitation/create", "params": {"mode": "url", "url": "https://x"}}),
        (b'{"elicitation":{}}', SAMPLE),
        (b'{"sampling":{}}', ROOTS),
    ],
)
async def test_what_the_client_did_not_declare_it_is_not_asked(capabilities: bytes, question: Json):
    modern = await asking(wanting(other=question))

    _, listener = await started(modern, capabilities=capabilities)

    assert (await listener.outcome()).kind is FailureKind.PROTOCOL
    assert listener.asked == []


async def test_a_client_that_cannot_be_asked_now_has_not_lost_its_way_unsaid():
    modern = await asking(wanting(where=ROOTS))
    listener = ListenerRecorder(may_be_asked=False)

    modern.upstream.start(tool_call(interactive=True, capabilities=EVERYTHING), listener)

    assert (await listener.outcome()).kind is FailureKind.UNSUPPORTED


@pytest.mark.parametrize(
    "result",
    [
        wanting(),
        {**wanting(), "inputRequests": {"a": {"method": "tools/call", "params": {}}}},
        {**wanting(a=ROOTS), "requestState": 7},
        {"resultType": "com.example/odd"},
        {"resultType": None},
        {"resultType": 7},
    ],
)
async def test_a_result_of_no_known_kind_is_not_mcp(result: Json):
    modern = await asking(result)

    _, listener = await started(modern)

    assert (await listener.outcome()).kind is FailureKind.PROTOCOL


@pytest.mark.parametrize("result", [{"content": []}, {"resultType": "task", "taskId": "t"}, DONE])
@pytest.mark.parametrize("interactive", [True, False])
async def test_whatever_ends_the_request_is_the_reply(result: Json, interactive: bool):
    modern = await asking(result)

    listener = await modern.call(interactive=interactive)

    assert listener.outcomes == [Reply(json.dumps(result).encode(), Era.MODERN)]


async def test_a_server_may_not_ask_during_anything_else():
    server = modern_server()
    server.answers["completion/complete"] = always(wanting("s"))
    modern = await discovered(server)

    listener = await modern.call(method="completion/complete")

    assert listener.outcomes[0].kind is FailureKind.PROTOCOL


async def test_a_call_cancelled_while_its_client_is_asked_is_not_sent_again():
    modern = await asking(wanting(where=ROOTS), DONE)
    number, listener = await started(modern)

    modern.upstream.cancel(number, "no longer wanted")
    listener.answer(result={"roots": []})
    await ticks()

    assert modern.server.methods.count("tools/call") == 1
    assert "notifications/cancelled" not in modern.server.methods
    assert listener.outcomes == []


async def test_a_call_cancelled_during_a_pause_is_not_sent_again():
    modern = await asking(wanting("s"), DONE)
    number, _ = await started(modern)

    modern.upstream.cancel(number, "no longer wanted")
    modern.timers.go_off()

    assert modern.timers.running == []
    assert modern.server.methods.count("tools/call") == 1


async def test_a_later_round_is_cancelled_by_the_id_it_has():
    modern = await asking(wanting(where=ROOTS), wanting("s"))
    number, listener = await started(modern)
    modern.server.answers["tools/call"] = always(None)
    listener.answer(result={"roots": []})

    modern.upstream.cancel(number, "no longer wanted")

    last = modern.server.ids_of("tools/call")[-1]
    assert modern.server.params_of("notifications/cancelled") == [{"requestId": last, "reason": "no longer wanted"}]
    assert last != number


async def test_progress_and_logs_of_every_round_reach_the_caller():
    modern = await asking(wanting(where=ROOTS), DONE)
    number, listener = await started(modern, wants_progress=True, log_level="info")
    modern.server.answers["tools/call"] = always(None)
    listener.answer(result={"roots": []})
    later = modern.server.ids_of("tools/call")[-1]

    modern.say("notifications/progress", progressToken=number, progress=1)
    modern.say("notifications/progress", progressToken=later, progress=2)
    modern.say("notifications/message", level="error", data=1)
    modern.say_on(later, "notifications/message", level="debug", data=2)

    assert [params["progress"] for params in listener.progressed] == [2]
    assert [params["data"] for params in listener.logged] == [1]


async def test_a_refused_retry_is_the_outcome():
    modern = await asking(wanting(where=ROOTS), DONE)
    _, listener = await started(modern)
    modern.server.answers["tools/call"] = refuse(-32602, "state expired")

    listener.answer(result={"roots": []})

    assert (await listener.outcome()).is_error


async def test_headers_refused_in_a_later_round_are_mended_and_the_answers_sent_again():
    modern = await asking(wanting("s", where=ROOTS))
    _, listener = await started(modern)
    refusals = [Refuse(jsonrpc.HEADER_MISMATCH)]

    def strict(_: Json) -> Json:
        if refusals:
            raise refusals.pop()
        return DONE

    modern.server.answers["tools/call"] = strict
    listener.answer(result={"roots": []})

    assert not (await listener.outcome()).is_error
    assert [retry["inputResponses"] for retry in retries(modern.server)] == [{"where": {"roots": []}}] * 2


async def test_many_interactive_calls_each_get_their_own_answers():
    modern = await asking(DONE)
    modern.server.answers["tools/call"] = lambda params: (
        {**DONE, "got": params["inputResponses"]}
        if "inputResponses" in params
        else wanting(json.dumps(params["arguments"]), mine=ROOTS)
    )
    callers = [(await started(modern, arguments={"n": n}))[1] for n in range(10)]

    for n, listener in reversed(list(enumerate(callers))):
        listener.answer(result={"roots": [n]})

    outcomes = [json.loads((await listener.outcome()).body) for listener in callers]
    assert [outcome["got"] for outcome in outcomes] == [{"mine": {"roots": [n]}} for n in range(10)]
    assert len(modern.upstream._calls) == 0
