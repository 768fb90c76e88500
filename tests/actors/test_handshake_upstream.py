"""A handshake server is initialized once for each session, and a lost session costs no caller anything."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.identity import BRIDGED_CAPABILITIES, GATEWAY_INFO
from actors.core.jsonrpc import Message
from actors.core.listing import Facts, Listing
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import HANDSHAKE_REVISIONS, LATEST_HANDSHAKE, Era
from actors.upstream.asking import Asking, UpstreamError
from actors.upstream.handshake import HandshakeUpstream
from tests.support.bus import UNHURRIED
from tests.support.conversations import Old, initialized
from tests.support.recorder import LIMIT
from tests.support.upstreams import (
    SILENCE,
    Json,
    ListenerRecorder,
    TableServer,
    always,
    handshake_server,
    memory_to,
    refuse,
    ticks,
    tool,
)


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
async def test_the_handshake_tells_who_the_server_is(revision: str):
    old = await initialized(handshake_server(capabilities={"tools": {}, "logging": {}}, revision=revision))

    info = b'{"name":"old","version":"1"}'
    assert old.upstream.facts == Facts(Era.HANDSHAKE, revision, info, b'{"tools": {}, "logging": {}}')
    assert old.transport.revision == revision
    assert old.server.params_of("initialize") == [
        {
            "protocolVersion": LATEST_HANDSHAKE,
            "capabilities": json.loads(BRIDGED_CAPABILITIES),
            "clientInfo": GATEWAY_INFO,
        }
    ]
    assert old.server.methods == ["initialize", "notifications/initialized"]


@pytest.mark.parametrize(
    "answer",
    [
        refuse(jsonrpc.INVALID_PARAMS),
        always({}),
        always({"protocolVersion": "2099-01-01"}),
        always({"protocolVersion": LATEST_HANDSHAKE, "serverInfo": "me"}),
        always({"protocolVersion": LATEST_HANDSHAKE, "capabilities": ["tools"]}),
    ],
)
async def test_what_is_no_handshake_is_refused(answer: Any):
    server = TableServer({"initialize": answer})
    old = Old(server, await memory_to(server))

    with pytest.raises(UpstreamError):
        await old.upstream.initialize(LIMIT)

    assert old.transport.revision is None


async def test_an_introduction_nested_so_deeply_that_only_its_envelope_can_be_read_is_refused():
    deep = b'{"a":' * 800 + b"{}" + b"}" * 800
    introduction = b'{"protocolVersion":"2025-11-25","serverInfo":%b}' % deep

    def server(message: Message) -> list[bytes]:
        return [jsonrpc.result_response(bytes(message.id), introduction)]

    upstream = HandshakeUpstream(Asking(await memory_to(server)), "git", lambda _: None)

    async def below(frames: int) -> None:
        await (below(frames - 1) if frames else upstream.initialize(LIMIT))

    with pytest.raises(UpstreamError):
        await below(250)


async def test_a_call_carries_the_callers_meta_and_nothing_of_the_other_era():
    old = await initialized(handshake_server())

    await old.call(
        arguments={"n": 1},
        meta=b'{"com.example/x":{"y":[1]}}',
        capabilities=b'{"elicitation":{}}',
        client_info=b'{"name":"claude","version":"9"}',
        log_level="debug",
    )
    await old.call()

    assert old.server.params_of("tools/call") == [
        {"name": "echo", "arguments": {"n": 1}, "_meta": {"com.example/x": {"y": [1]}}},
        {"name": "echo", "arguments": {}},
    ]
    assert all(not request.headers for request in old.transport.requests)


@UNHURRIED
@given(
    st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.booleans(), max_size=4),
    st.dictionaries(st.text(min_size=1).map(lambda key: f"x/{key}"), st.text(), max_size=3),
)
async def test_arguments_meta_and_result_always_arrive_as_they_left(arguments: Json, meta: Json):
    server = handshake_server()
    result = json.dumps({"structuredContent": arguments, "x-future": meta}).encode()
    server.answers["tools/call"] = always(json.loads(result))
    old = await initialized(server)

    listener = await old.call(arguments=arguments, meta=json.dumps(meta).encode(), wants_progress=True)

    (params,) = server.params_of("tools/call")
    assert params["arguments"] == arguments
    assert {key: value for key, value in params["_meta"].items() if key != "progressToken"} == meta
    assert listener.outcomes == [Reply(result, Era.HANDSHAKE)]


async def test_concurrent_calls_have_progress_tokens_of_their_own():
    old = await initialized(handshake_server())
    old.server.answers["tools/call"] = SILENCE
    callers = [old.start(wants_progress=True) for _ in range(3)]

    tokens = [params["_meta"]["progressToken"] for params in old.server.params_of("tools/call")]
    for token in reversed(tokens):
        params = json.dumps({"progressToken": token, "progress": token}).encode()
        old.transport.deliver(jsonrpc.notification("notifications/progress", params))

    assert len(set(tokens)) == 3
    assert [[params["progress"] for params in listener.progressed] for _, listener in callers] == [[t] for t in tokens]


async def test_a_ping_is_answered_even_before_the_handshake_is_done():
    server = handshake_server()
    transport = await memory_to(
        lambda message: [
            *([jsonrpc.request(77, "ping", b"{}")] if message.method == "initialize" else []),
            *server(message),
        ]
    )
    await HandshakeUpstream(Asking(transport), "git", lambda _: None).initialize(LIMIT)
    transport.deliver(b'{"jsonrpc":"2.0","id":"p-1","method":"ping"}')

    answers = [heard for heard in server.heard if "result" in heard]
    assert answers == [{"id": 77, "result": {}}, {"id": "p-1", "result": {}}]


async def test_a_request_that_cannot_be_served_is_refused_not_ignored():
    old = await initialized(handshake_server())

    old.transport.deliver(jsonrpc.request(5, "sampling/createMessage", b"{}"))

    assert old.server.heard[-1]["id"] == 5
    assert old.server.heard[-1]["error"]["code"] == jsonrpc.METHOD_NOT_FOUND


async def test_notifications_that_belong_to_no_call_are_passed_on():
    old = await initialized(handshake_server())

    old.transport.deliver(jsonrpc.notification("notifications/tools/list_changed"))

    assert old.notified == ["notifications/tools/list_changed"]


async def test_a_cancelled_call_is_told_to_the_server_by_its_id():
    old = await initialized(handshake_server())
    old.server.answers["tools/call"] = SILENCE
    number, listener = old.start()

    old.upstream.cancel(number, "no longer wanted")
    old.transport.deliver(b'{"id":%d,"result":{}}' % number)

    assert old.server.params_of("notifications/cancelled") == [
        {"requestId": old.server.ids_of("tools/call")[0], "reason": "no longer wanted"}
    ]
    assert listener.outcomes == []


async def test_lists_are_read_in_the_session():
    old = await initialized(handshake_server(tool("a"), tool("b", annotations={"readOnlyHint": True})))

    listing = await old.upstream.list_everything(Listing())

    assert [json.loads(item.body) for item in listing.tools] == [
        tool("a"),
        tool("b", annotations={"readOnlyHint": True}),
    ]


# --- the server forgets the session ---


async def refused_calls(count: int) -> tuple[Old, list[ListenerRecorder], list[int]]:
    """Calls that are with a server which is about to forget the session; then it answers them."""
    old = await initialized(handshake_server())
    old.server.answers["tools/call"] = SILENCE
    listeners = [old.start()[1] for _ in range(count)]
    old.server.answers["tools/call"] = always({"content": []})
    return old, listeners, old.server.ids_of("tools/call")


async def test_many_calls_refused_at_once_cost_one_handshake_and_each_is_repeated_once():
    old, listeners, ids = await refused_calls(20)

    for request_id in ids:
        old.transport.forget(request_id)
    outcomes = [await listener.outcome() for listener in listeners]

    assert outcomes == [Reply(b'{"content": []}', Era.HANDSHAKE)] * 20
    assert old.server.methods.count("initialize") == 2
    assert len(set(old.server.ids_of("tools/call"))) == 40


async def test_a_call_refused_after_the_new_handshake_is_repeated_too():
    old, (first, late), (first_id, late_id) = await refused_calls(2)
    old.transport.forget(first_id)
    await first.outcome()

    old.transport.fail(late_id, FailureKind.UNAVAILABLE, "it forgot our session")

    assert await late.outcome() == Reply(b'{"content": []}', Era.HANDSHAKE)
    assert old.server.methods.count("initialize") == 2


async def test_a_call_started_during_the_new_handshake_is_repeated_after_it():
    old, (first,), (first_id,) = await refused_calls(1)
    old.transport.forget(first_id)
    old.server.answers["tools/call"] = SILENCE
    number, second = old.start()
    old.server.answers["tools/call"] = always({"content": []})

    old.transport.fail(number, FailureKind.UNAVAILABLE, "it forgot our session")

    assert isinstance(await first.outcome(), Reply)
    assert isinstance(await second.outcome(), Reply)
    assert old.server.methods.count("initialize") == 2


async def test_a_call_is_repeated_once_only():
    old, (listener,), (request_id,) = await refused_calls(1)
    old.server.answers["tools/call"] = SILENCE
    old.transport.forget(request_id)
    await ticks()

    old.transport.forget(old.server.ids_of("tools/call")[-1])

    outcome = await listener.outcome()
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.UNAVAILABLE
    assert old.server.methods.count("tools/call") == 2


async def test_an_unavailable_server_whose_session_is_good_is_not_asked_twice():
    old, (listener, other), (request_id, other_id) = await refused_calls(2)
    old.transport.forget(other_id)
    await other.outcome()
    old.server.answers["tools/call"] = SILENCE
    number, listener = old.start()

    old.transport.fail(number, FailureKind.UNAVAILABLE, "cannot connect")

    assert await listener.outcome() == Failure(FailureKind.UNAVAILABLE, "git", "cannot connect")
    assert old.server.ids_of("tools/call").count(number) == 1
    assert request_id != number


async def test_what_may_have_run_is_never_repeated():
    old, (listener,), (request_id,) = await refused_calls(1)
    old.transport.forgotten()

    old.transport.fail(request_id, FailureKind.DISCONNECTED, "it broke")
    await ticks()

    assert await listener.outcome() == Failure(FailureKind.DISCONNECTED, "git", "it broke")
    assert old.server.methods.count("tools/call") == 1


async def test_a_call_cancelled_during_the_new_handshake_is_never_sent_again():
    old, (listener,), (request_id,) = await refused_calls(1)
    old.transport.forget(request_id)

    old.upstream.cancel(request_id, "no longer wanted")
    await ticks()

    assert old.server.methods.count("initialize") == 2
    assert old.server.methods.count("tools/call") == 1
    assert "notifications/cancelled" not in old.server.methods
    assert listener.outcomes == []


async def test_a_repeated_call_is_cancelled_by_the_id_it_has_now():
    old, _, (request_id,) = await refused_calls(1)
    old.server.answers["tools/call"] = SILENCE
    old.transport.forget(request_id)
    await ticks()

    old.upstream.cancel(request_id, "no longer wanted")

    repeated = old.server.ids_of("tools/call")[1]
    assert old.server.params_of("notifications/cancelled")[0]["requestId"] == repeated != request_id


async def test_a_new_session_may_have_other_lists():
    old, (listener,), (request_id,) = await refused_calls(1)

    old.transport.forget(request_id)
    await listener.outcome()

    assert old.notified == ["notifications/tools/list_changed"]


async def test_without_a_new_session_the_calls_fail_unseen_and_the_connection_counts_as_lost():
    lost: list[str] = []
    old, listeners, ids = await refused_calls(3)
    old.transport.closed = lost.append
    old.server.answers["initialize"] = refuse(jsonrpc.INTERNAL_ERROR, "not today")

    for request_id in ids:
        old.transport.forget(request_id)
    outcomes = [await listener.outcome() for listener in listeners]

    assert [outcome.kind for outcome in outcomes] == [FailureKind.UNAVAILABLE] * 3
    assert lost == ["the server forgot the session and gave no new one: not today (-32603)"]
    assert old.server.methods.count("tools/call") == 3


async def test_stopping_ends_the_calls_that_wait_for_a_session():
    old, (listener,), (request_id,) = await refused_calls(1)
    old.server.answers["initialize"] = SILENCE
    old.transport.forget(request_id)
    await ticks()

    old.upstream.stop()

    assert (await asyncio.wait_for(listener.outcome(), LIMIT)).kind is FailureKind.UNAVAILABLE
