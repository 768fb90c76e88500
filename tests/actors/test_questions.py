"""A handshake server's question reaches the client of the call it belongs to, or nobody; its answer goes back once."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.attribution import AMBIGUOUS, NO_CALL
from actors.core.listing import Listing
from actors.core.outcome import FailureKind
from tests.support.bus import UNHURRIED
from tests.support.conversations import Old, initialized
from tests.support.upstreams import SILENCE, ListenerRecorder, always, handshake_server, ticks, tool_call

EVERYTHING = b'{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"roots":{}}'
FORM = {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}
ALICE = "token:3:iss:alice"
BOB = "token:3:iss:bob"


async def busy(**options: Any) -> Old:
    """A server that answers no call by itself."""
    old = await initialized(handshake_server(capabilities={"tools": {}, "logging": {}}), **options)
    old.server.answers["tools/call"] = SILENCE
    return old


def caller(old: Old, **fields: Any) -> tuple[int, ListenerRecorder]:
    return old.start(**{"capabilities": EVERYTHING, "principal": ALICE, **fields})


@pytest.mark.parametrize("question_id", [0, 7, "seven", "ü\n", -1.5, 12345678901234567890])
async def test_an_answer_goes_back_under_the_id_of_the_question(question_id: Any):
    old = await busy()
    _, listener = caller(old)

    old.ask(question_id, "elicitation/create", **FORM)
    listener.answer(result={"action": "accept", "content": {"name": "x"}})

    assert listener.asked == [{"method": "elicitation/create", "params": FORM}]
    assert old.answers == [{"id": question_id, "result": {"action": "accept", "content": {"name": "x"}}}]


async def test_an_error_of_the_client_goes_back_as_it_is():
    old = await busy()
    _, listener = caller(old)

    old.ask(5, "sampling/createMessage", messages=[], maxTokens=1)
    listener.answer(error={"code": -1, "message": "user rejected", "data": {"x": [1]}})

    assert old.answers == [{"id": 5, "error": {"code": -1, "message": "user rejected", "data": {"x": [1]}}}]


@pytest.mark.parametrize("answer", [{}, {"result": None}, {"result": "text"}, {"nonsense": 1}])
async def test_what_is_no_answer_is_an_error(answer: Any):
    old = await busy()
    _, listener = caller(old)

    old.ask(5, "roots/list")
    listener.answer(**answer)

    assert [answer["error"]["code"] for answer in old.answers] == [jsonrpc.INTERNAL_ERROR]


async def test_an_older_server_gets_the_answer_as_its_revision_has_it_or_hears_why_it_cannot():
    old = await initialized(handshake_server(revision="2025-06-18"))
    old.server.answers["tools/call"] = SILENCE
    _, listener = caller(old)
    texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    old.ask(5, "sampling/createMessage", messages=[], maxTokens=1)
    listener.answer(result={"role": "assistant", "model": "m", "content": texts})
    old.ask(6, "sampling/createMessage", messages=[], maxTokens=1)
    listener.answer(result={"role": "assistant", "model": "m", "content": [{"type": "tool_use"}]})

    told, refused = old.answers
    assert told["result"]["content"] == {"type": "text", "text": "a\nb"}
    assert "2025-11-25" in refused["error"]["message"]


async def test_only_the_first_answer_counts():
    old = await busy()
    _, listener = caller(old)

    old.ask(5, "roots/list")
    listener.answer(result={"roots": []})
    listener.answer(result={"roots": [1]})

    assert old.answers == [{"id": 5, "result": {"roots": []}}]


async def test_the_question_keeps_its_meta_but_for_what_belongs_to_our_hop():
    old = await busy()
    _, listener = caller(old)

    old.ask(5, "elicitation/create", **FORM, _meta={"progressToken": 1, "com.example/x": 2})
    old.ask(6, "roots/list", _meta={"progressToken": 1})

    assert [asked["params"] for asked in listener.asked] == [{**FORM, "_meta": {"com.example/x": 2}}, {}]


async def test_a_question_asked_again_before_its_answer_is_one_question():
    old = await busy()
    _, listener = caller(old)

    old.ask(5, "roots/list")
    old.ask(5, "roots/list")
    listener.answer(result={"roots": []})

    assert len(listener.asked) == len(old.answers) == 1


@pytest.mark.parametrize(
    ("capabilities", "method", "params"),
    [
        (b"{}", "elicitation/create", FORM),
        (b'{"elicitation":{}}', "elicitation/create", {"mode": "url", "message": "m", "url": "https://x"}),
        (b'{"elicitation":{}}', "sampling/createMessage", {"messages": [], "maxTokens": 1}),
        (b'{"sampling":{}}', "sampling/createMessage", {"messages": [], "maxTokens": 1, "tools": []}),
        (b'{"sampling":{}}', "roots/list", {}),
        (EVERYTHING, "tasks/list", {}),
        (EVERYTHING, "tools/list", {}),
    ],
)
async def test_what_the_client_did_not_declare_it_is_not_asked(capabilities: bytes, method: str, params: Any):
    old = await busy()
    _, listener = caller(old, capabilities=capabilities)

    old.ask(5, method, **params)

    assert listener.asked == []
    assert [(answer["id"], answer["error"]["code"]) for answer in old.answers] == [(5, jsonrpc.METHOD_NOT_FOUND)]


@pytest.mark.parametrize(("interactive", "asked"), [(True, 1), (False, 0)])
async def test_during_a_completion_only_an_interactive_client_is_asked(interactive: bool, asked: int):
    old = await busy()
    old.server.answers["completion/complete"] = SILENCE
    _, listener = caller(old, method="completion/complete", interactive=interactive)

    old.ask(5, "roots/list")

    assert len(listener.asked) == asked
    assert len(old.answers) == 1 - asked


async def test_a_client_that_cannot_be_asked_now_is_an_error_to_the_server():
    old = await busy()
    listener = ListenerRecorder(may_be_asked=False)
    old.upstream.start(tool_call(capabilities=EVERYTHING), listener)

    old.ask(5, "roots/list")

    assert [answer["error"]["code"] for answer in old.answers] == [jsonrpc.INTERNAL_ERROR]


async def test_parameters_that_are_no_object_are_refused():
    old = await busy()
    caller(old)

    old.transport.deliver(b'{"id":5,"method":"roots/list","params":[]}')

    assert [answer["error"]["code"] for answer in old.answers] == [jsonrpc.INVALID_PARAMS]


# --- whose question is it? ---


async def test_a_question_on_the_stream_of_a_call_is_that_callers_among_strangers():
    old = await busy()
    number, alice = caller(old)
    _, bob = caller(old, principal=BOB)

    old.ask_on(number, 5, "roots/list")

    assert (len(alice.asked), len(bob.asked)) == (1, 0)


async def test_a_question_without_a_hint_is_never_asked_of_one_of_two_strangers():
    old = await busy()
    _, alice = caller(old)
    _, bob = caller(old, principal=BOB)

    old.ask(5, "roots/list")

    assert alice.asked == bob.asked == []
    assert [answer["error"]["message"] for answer in old.answers] == [AMBIGUOUS]


async def test_a_question_without_a_call_is_refused():
    old = await busy()

    old.ask(5, "roots/list")

    assert [answer["error"]["message"] for answer in old.answers] == [NO_CALL]


async def test_a_question_comes_to_the_other_caller_once_the_first_has_gone():
    old = await busy()
    number, alice = caller(old)
    _, bob = caller(old, principal=BOB)

    old.upstream.cancel(number, "no longer wanted")
    old.ask(5, "roots/list")

    assert (len(alice.asked), len(bob.asked)) == (0, 1)


async def test_of_several_calls_of_one_session_the_latest_that_can_ask_is_asked():
    old = await busy()
    _, first = caller(old, session=b"s")
    _, able = caller(old, session=b"s")
    _, unable = caller(old, session=b"s", capabilities=b"{}")

    old.ask(5, "roots/list")

    assert (len(first.asked), len(able.asked), len(unable.asked)) == (0, 1, 0)


@UNHURRIED
@given(st.lists(st.tuples(st.sampled_from([ALICE, BOB, ""]), st.sampled_from([b"", b"s", b"t"])), max_size=5))
async def test_whoever_is_asked_without_a_hint_is_never_one_of_several(callers: list[tuple[str, bytes]]):
    old = await busy()
    listeners = [caller(old, principal=principal, session=session)[1] for principal, session in callers]

    old.ask(5, "roots/list")

    asked = [caller for caller, listener in zip(callers, listeners, strict=True) if listener.asked]
    assert len(asked) + len(old.answers) == 1
    if asked:
        assert len({session or principal for principal, session in callers}) == 1


async def test_a_question_during_a_request_of_our_own_reaches_no_caller():
    old = await busy()
    _, listener = caller(old)
    old.server.answers["tools/list"] = SILENCE
    listing = asyncio.ensure_future(old.upstream.list_everything(Listing()))
    await ticks()

    old.ask_on(old.server.ids_of("tools/list")[0], 5, "roots/list")
    listing.cancel()

    assert listener.asked == []
    assert [answer["error"]["code"] for answer in old.answers] == [jsonrpc.METHOD_NOT_FOUND]


# --- questions that end otherwise ---


async def test_a_question_that_the_server_takes_back_is_withdrawn_and_a_late_answer_goes_nowhere():
    old = await busy()
    _, listener = caller(old)
    old.ask("q-1", "roots/list")

    old.say("notifications/cancelled", requestId="q-1", reason="changed my mind")
    old.say("notifications/cancelled", requestId="q-1")
    listener.answer(result={"roots": []})

    assert listener.withdrawn == [0]
    assert old.answers == []


@pytest.mark.parametrize("params", [{}, {"requestId": 99}, {"requestId": None}])
async def test_taking_back_what_was_never_asked_does_no_harm(params: Any):
    old = await busy()
    _, listener = caller(old)
    old.ask(5, "roots/list")

    old.say("notifications/cancelled", **params)
    listener.answer(result={"roots": []})

    assert listener.withdrawn == []
    assert len(old.answers) == 1


async def test_a_call_that_ends_takes_its_questions_along_and_its_id_is_free_again():
    old = await busy()
    number, first = caller(old)
    old.ask(5, "roots/list")
    old.transport.deliver(b'{"id":%d,"result":{}}' % number)

    _, second = caller(old)
    old.ask(5, "roots/list")
    second.answer(result={"roots": []})

    assert (len(first.asked), len(second.asked)) == (1, 1)
    assert len(old.upstream._questions) == 0
    assert len(old.answers) == 1


async def test_what_a_cancelled_call_asked_is_not_waited_for():
    old = await busy()
    number, _ = caller(old)
    old.ask(5, "roots/list")

    old.upstream.cancel(number, "no longer wanted")

    assert len(old.upstream._questions) == 0
    assert old.answers == []
    assert "notifications/cancelled" in old.server.methods


async def test_the_error_after_a_park_that_lasted_too_long_still_reaches_the_server():
    old = await busy()
    number, listener = caller(old)
    old.ask(5, "roots/list")

    old.upstream.cancel(number, "nobody answered")
    listener.answer(error={"code": -32603, "message": "nobody answered"})

    assert [answer["id"] for answer in old.answers] == [5]


async def test_a_question_of_a_forgotten_session_is_withdrawn_and_its_answer_never_sent_into_the_next():
    old = await busy()
    number, listener = caller(old)
    old.ask(5, "roots/list")

    old.transport.forget(number)
    await ticks()
    listener.answer(result={"roots": []})

    assert listener.withdrawn == [0]
    assert old.answers == []
    assert old.server.methods.count("tools/call") == 2


async def test_a_session_of_ones_own_declares_what_its_client_can():
    old = await busy(capabilities=b'{"roots":{}}')

    assert old.server.params_of("initialize")[0]["capabilities"] == {"roots": {}}


# --- logs ---


async def test_the_session_is_as_verbose_as_the_most_curious_call_and_hears_so_before_it():
    old = await busy()

    for level in ("error", "info", "warning", "debug", "info"):
        caller(old, log_level=level)
    caller(old)

    told = [params["level"] for params in old.server.params_of("logging/setLevel")]
    assert told == ["error", "info", "debug"]
    methods = [method for method in old.server.methods if method in ("tools/call", "logging/setLevel")]
    assert methods[:4] == ["logging/setLevel", "tools/call", "logging/setLevel", "tools/call"]


async def test_a_server_without_logging_is_not_told_a_level():
    old = await initialized(handshake_server())

    await old.call(log_level="debug")

    assert "logging/setLevel" not in old.server.methods


async def test_the_level_is_set_again_in_a_new_session_before_the_call_is_repeated():
    old = await busy()
    number, listener = caller(old, log_level="info")
    old.server.answers["tools/call"] = always({"content": []})
    old.server.heard.clear()

    old.transport.forget(number)
    await listener.outcome()

    wanted = ("initialize", "logging/setLevel", "tools/call")
    assert tuple(method for method in old.server.methods if method in wanted) == wanted


async def test_each_call_hears_what_is_severe_enough_for_it():
    old = await busy()
    number, listener = caller(old, log_level="warning")
    silent_number, silent = caller(old)

    for level in ("info", "warning", "error"):
        old.say_on(number, "notifications/message", level=level)
        old.say_on(silent_number, "notifications/message", level=level)

    assert [log["level"] for log in listener.logged] == ["warning", "error"]
    assert silent.logged == []


async def test_a_log_without_a_hint_goes_to_the_only_caller_there_is():
    old = await busy()
    _, listener = caller(old, log_level="info")
    caller(old)

    old.say("notifications/message", level="error", data=1)
    old.say("notifications/message", level="debug", data=2)

    assert [log["data"] for log in listener.logged] == [1]
    assert old.notified == []


async def test_a_log_without_a_hint_is_dropped_when_several_callers_could_have_caused_it():
    old = await busy()
    _, alice = caller(old, log_level="info")
    _, bob = caller(old, log_level="info", principal=BOB)

    old.say("notifications/message", level="error", data=1)

    assert alice.logged == bob.logged == []


async def test_a_refused_level_does_no_harm():
    old = await busy()
    number, listener = caller(old, log_level="info")

    old.transport.deliver(
        b'{"id":%d,"error":{"code":-32603,"message":"no"}}' % old.server.ids_of("logging/setLevel")[0]
    )
    await ticks()
    old.transport.deliver(b'{"id":%d,"result":{}}' % number)

    assert (await listener.outcome()).body == b"{}"


async def test_after_a_lost_connection_there_is_nobody_to_answer():
    old = await busy()
    _, listener = caller(old)
    old.ask(5, "roots/list")

    old.transport.lose("it crashed")
    listener.answer(result={"roots": []})

    assert (await listener.outcome()).kind is FailureKind.DISCONNECTED
    assert old.answers == []
