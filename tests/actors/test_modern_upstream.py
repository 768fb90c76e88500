"""A modern server gets a complete envelope with every request, and its answers come back untouched."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.identity import GATEWAY_INFO
from actors.core.jsonrpc import Message
from actors.core.listing import Facts, Listing
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import LATEST_MODERN, Era
from actors.transports.memory import MemoryTransport
from actors.upstream.asking import Asking, UpstreamError
from actors.upstream.modern import ModernUpstream
from tests.support.bus import UNHURRIED
from tests.support.conversations import Modern, discovered
from tests.support.recorder import LIMIT
from tests.support.upstreams import (
    SILENCE,
    Json,
    ListenerRecorder,
    Refuse,
    TableServer,
    always,
    echo,
    memory_to,
    modern_server,
    refuse,
    ticks,
    tool,
    tool_call,
)

CITY = {"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": "City"}}}


async def test_discovery_tells_who_the_server_is():
    modern = await discovered(modern_server(capabilities={"tools": {}, "completions": {}}))

    info = b'{"name":"new","version":"2"}'
    capabilities = b'{"tools": {}, "completions": {}}'
    assert modern.upstream.facts == Facts(Era.MODERN, LATEST_MODERN, info, capabilities, "be modern")


@pytest.mark.parametrize(
    "answer",
    [
        refuse(jsonrpc.METHOD_NOT_FOUND),
        refuse(jsonrpc.UNSUPPORTED_REVISION),
        always({}),
        always({"supportedVersions": "2026-07-28"}),
        always({"supportedVersions": ["2099-01-01"]}),
        always({"supportedVersions": [LATEST_MODERN], "capabilities": []}),
    ],
)
async def test_what_is_not_discovery_is_refused(answer: Any):
    transport = await memory_to(TableServer({"server/discover": answer}))

    with pytest.raises(UpstreamError):
        await ModernUpstream(Asking(transport), "git", lambda _: None).discover(LIMIT)


@pytest.mark.parametrize(("supported", "asked"), [([LATEST_MODERN], 2), (["2099-01-01"], 1), (LATEST_MODERN, 1)])
async def test_a_refusal_that_names_a_revision_of_ours_is_followed_once(supported: Any, asked: int):
    def refusal(_: Any) -> Any:
        raise Refuse(jsonrpc.UNSUPPORTED_REVISION, "not that one", {"supported": supported})

    server = TableServer({"server/discover": refusal})

    with pytest.raises(UpstreamError):
        await ModernUpstream(Asking(await memory_to(server)), "git", lambda _: None).discover(LIMIT)

    assert server.methods == ["server/discover"] * asked


async def test_every_request_of_our_own_has_the_envelope_and_the_headers():
    modern = await discovered(modern_server(tool("echo"), capabilities={"tools": {"listChanged": True}}))
    await modern.upstream.list_everything(Listing())

    sent = [(heard["method"], heard["params"]["_meta"]) for heard in modern.server.heard]
    envelope = {
        jsonrpc.PROTOCOL_VERSION_KEY: LATEST_MODERN,
        jsonrpc.CLIENT_CAPABILITIES_KEY: {},
        jsonrpc.CLIENT_INFO_KEY: GATEWAY_INFO,
    }
    assert sent == [(method, envelope) for method in ("server/discover", "subscriptions/listen", "tools/list")]
    assert [dict(request.headers) for request in modern.transport.requests] == [
        {"MCP-Protocol-Version": LATEST_MODERN, "Mcp-Method": method} for method, _ in sent
    ]


async def test_a_call_carries_what_the_caller_declared_and_nothing_else():
    modern = await discovered(modern_server())

    await modern.call(
        arguments={"n": 1},
        meta=b'{"traceparent":"00-x","com.example/x":{"y":[1]}}',
        capabilities=b'{"elicitation":{}}',
        client_info=b'{"name":"claude","version":"9"}',
        log_level="debug",
    )

    assert modern.server.params_of("tools/call") == [
        {
            "name": "echo",
            "arguments": {"n": 1},
            "_meta": {
                jsonrpc.PROTOCOL_VERSION_KEY: LATEST_MODERN,
                jsonrpc.CLIENT_CAPABILITIES_KEY: {"elicitation": {}},
                jsonrpc.CLIENT_INFO_KEY: {"name": "claude", "version": "9"},
                jsonrpc.LOG_LEVEL_KEY: "debug",
                "traceparent": "00-x",
                "com.example/x": {"y": [1]},
            },
        }
    ]


async def test_a_call_names_its_tool_in_the_headers_even_one_that_no_header_can_hold():
    modern = await discovered(modern_server())

    await modern.call(name="echo")
    await modern.call(name="größer ")

    plain, wrapped = (dict(request.headers) for request in list(modern.transport.requests)[-2:])
    assert plain == {"MCP-Protocol-Version": LATEST_MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "echo"}
    assert wrapped["Mcp-Name"] == "=?base64?Z3LDtsOfZXIg?="


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@UNHURRIED
@given(
    arguments=st.dictionaries(st.text(), _values, max_size=4),
    meta=st.dictionaries(st.text(min_size=1).map(lambda key: f"x/{key}"), _values, max_size=3),
    result=st.dictionaries(st.text(), _values, max_size=4),
)
async def test_arguments_meta_and_result_always_arrive_as_they_left(arguments: Json, meta: Json, result: Json):
    server = modern_server()
    server.answers["tools/call"] = always(result)
    modern = await discovered(server)

    listener = await modern.call(arguments=arguments, meta=json.dumps(meta).encode(), wants_progress=True)

    (params,) = server.params_of("tools/call")
    assert params["arguments"] == arguments
    assert {key: params["_meta"][key] for key in meta} == meta
    assert listener.outcomes == [Reply(json.dumps(result).encode(), Era.MODERN)]


async def test_an_error_of_the_server_is_a_reply_with_all_its_members():
    server = modern_server()
    error = b'{"code":-32021,"message":"m","data":{"requiredCapabilities":{"sampling":{}}},"x":1}'
    transport = await memory_to(
        lambda message: (
            [b'{"id":%b,"error":%b}' % (message.id, error)] if message.method == "tools/call" else server(message)
        )
    )
    upstream, listener = ModernUpstream(Asking(transport), "git", lambda _: None), ListenerRecorder()

    upstream.start(tool_call(), listener)

    assert await listener.outcome() == Reply(error, Era.MODERN, is_error=True)


@pytest.mark.parametrize("result", [b"null", b'"text"', b"[]", b"7"])
async def test_a_result_that_is_no_object_is_not_mcp(result: bytes):
    transport = await memory_to(lambda message: [b'{"id":%b,"result":%b}' % (message.id, result)])
    upstream, listener = ModernUpstream(Asking(transport), "git", lambda _: None), ListenerRecorder()

    upstream.start(tool_call(), listener)

    outcome = await listener.outcome()
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.PROTOCOL


async def test_progress_and_logs_reach_the_caller_who_wants_them():
    modern = await discovered(modern_server())
    modern.server.answers["tools/call"] = SILENCE
    eager, silent = ListenerRecorder(), ListenerRecorder()
    numbers = [
        modern.upstream.start(tool_call(wants_progress=True, log_level="info"), eager),
        modern.upstream.start(tool_call(), silent),
    ]

    for number in numbers:
        progress = {"progressToken": number, "progress": 1, "message": "half", "x": 2}
        modern.transport.deliver(jsonrpc.notification("notifications/progress", json.dumps(progress).encode()))

    assert eager.progressed == [{"progressToken": numbers[0], "progress": 1, "message": "half", "x": 2}]
    assert silent.progressed == []
    tokens = [params["_meta"].get("progressToken") for params in modern.server.params_of("tools/call")]
    assert tokens == [numbers[0], None]


async def test_a_cancelled_call_is_told_to_the_server_by_its_id():
    modern = await discovered(modern_server())
    modern.server.answers["tools/call"] = SILENCE
    listener = ListenerRecorder()
    number = modern.upstream.start(tool_call(), listener)

    modern.upstream.cancel(number, "no longer wanted")
    modern.transport.deliver(b'{"id":%d,"result":{}}' % number)

    assert modern.server.params_of("notifications/cancelled") == [
        {"requestId": modern.server.ids_of("tools/call")[0], "reason": "no longer wanted"}
    ]
    assert listener.outcomes == []


async def test_where_closing_the_stream_cancels_nothing_more_is_said():
    modern = await discovered(modern_server(), drop_cancels=True)
    modern.server.answers["tools/call"] = SILENCE
    number = modern.upstream.start(tool_call(), ListenerRecorder())

    modern.upstream.cancel(number, "no longer wanted")

    assert list(modern.transport.dropped)[-1] == number
    assert "notifications/cancelled" not in modern.server.methods


async def test_a_lost_connection_ends_every_call_by_name():
    modern = await discovered(modern_server())
    modern.server.answers["tools/call"] = SILENCE
    listeners = [ListenerRecorder() for _ in range(5)]
    for listener in listeners:
        modern.upstream.start(tool_call(), listener)

    modern.transport.lose("it crashed")

    expected = Failure(FailureKind.DISCONNECTED, "git", "it crashed")
    assert [listener.outcomes for listener in listeners] == [[expected]] * 5


# --- headers that repeat arguments ---


class StrictServer:
    """Refuses calls of `weather` whose `Mcp-Param` header is not the one it wants now."""

    def __init__(self) -> None:
        self.wanted = "Mcp-Param-City"
        self.table = modern_server(tool("weather"))
        self.table.answers["tools/call"] = self.weather
        self.transport: MemoryTransport
        self.list_by("City")

    def list_by(self, header: str) -> None:
        """Advertise this header from now on."""
        self.wanted = f"Mcp-Param-{header}"
        schema = {"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": header}}}
        self.table.answers["tools/list"] = always({"tools": [tool("weather", inputSchema=schema)]})

    def weather(self, params: Json) -> Json:
        if self.transport.requests[-1].headers.get(self.wanted) != params["arguments"]["city"]:
            raise Refuse(jsonrpc.HEADER_MISMATCH, "headers")
        return echo(params)


async def strict() -> tuple[StrictServer, Modern]:
    server = StrictServer()
    modern = await discovered(server.table)
    server.transport = modern.transport
    await modern.upstream.list_everything(Listing())
    return server, modern


PARIS = {"name": "weather", "arguments": {"city": "Paris"}}


async def test_annotated_arguments_are_repeated_in_headers():
    _, modern = await strict()

    listener = await modern.call(**PARIS)

    assert isinstance(listener.outcomes[0], Reply)
    assert modern.server.methods.count("tools/call") == 1


async def test_changed_headers_are_read_again_and_the_call_is_repeated_once_under_a_new_id():
    server, modern = await strict()
    server.list_by("Town")

    listener = await modern.call(**PARIS, wants_progress=True)

    outcome = listener.outcomes[0]
    assert isinstance(outcome, Reply)
    assert not outcome.is_error
    first, second = modern.server.ids_of("tools/call")
    assert first != second
    assert [params["_meta"]["progressToken"] for params in modern.server.params_of("tools/call")] == [first, second]
    assert modern.notified == ["notifications/tools/list_changed"]


async def test_many_refused_calls_read_the_lists_once():
    server, modern = await strict()
    modern.server.heard.clear()
    server.list_by("Town")

    listeners = await asyncio.gather(*(modern.call(**PARIS) for _ in range(10)))

    assert all(not listener.outcomes[0].is_error for listener in listeners)
    assert modern.server.methods.count("tools/list") == 1
    assert modern.server.methods.count("tools/call") == 20


async def test_headers_that_never_fit_fail_after_the_second_attempt_and_are_not_relayed():
    _, modern = await strict()
    modern.server.answers["tools/call"] = refuse(jsonrpc.HEADER_MISMATCH)

    listener = await modern.call(**PARIS)

    assert [(outcome.kind, outcome.backend) for outcome in listener.outcomes] == [(FailureKind.PROTOCOL, "git")]
    assert modern.server.methods.count("tools/call") == 2


async def test_when_the_lists_cannot_be_read_again_the_call_fails_and_is_not_repeated():
    _, modern = await strict()
    modern.server.answers["tools/call"] = refuse(jsonrpc.HEADER_MISMATCH)
    modern.server.answers["tools/list"] = SILENCE
    listener = ListenerRecorder()
    modern.upstream.start(tool_call(**PARIS), listener)
    await ticks()

    modern.transport.lose("it crashed")

    outcome = await listener.outcome()
    assert outcome.kind is FailureKind.PROTOCOL
    assert modern.server.methods.count("tools/call") == 1


async def test_a_call_cancelled_while_the_lists_are_read_again_is_not_repeated():
    _, modern = await strict()
    modern.server.answers["tools/call"] = refuse(jsonrpc.HEADER_MISMATCH)
    modern.server.answers["tools/list"] = SILENCE
    listener = ListenerRecorder()
    number = modern.upstream.start(tool_call(**PARIS), listener)
    await ticks()

    modern.upstream.cancel(number, "no longer wanted")
    modern.transport.deliver(b'{"id":%d,"result":{"tools":[]}}' % modern.server.ids_of("tools/list")[-1])
    await ticks()

    assert modern.server.methods.count("tools/call") == 1
    assert "notifications/cancelled" not in modern.server.methods
    assert listener.outcomes == []


async def test_a_repeated_call_is_cancelled_by_the_id_it_has_now():
    server, modern = await strict()
    server.list_by("Town")
    answers = iter([refuse(jsonrpc.HEADER_MISMATCH), SILENCE])
    modern.server.answers["tools/call"] = lambda params: next(answers)(params)
    number = modern.upstream.start(tool_call(**PARIS), ListenerRecorder())
    await ticks()

    modern.upstream.cancel(number, "no longer wanted")

    assert modern.server.params_of("notifications/cancelled")[0]["requestId"] == modern.server.ids_of("tools/call")[1]


async def test_stopping_ends_the_calls_that_wait_for_the_lists():
    _, modern = await strict()
    modern.server.answers["tools/call"] = refuse(jsonrpc.HEADER_MISMATCH)
    modern.server.answers["tools/list"] = SILENCE
    listener = ListenerRecorder()
    modern.upstream.start(tool_call(**PARIS), listener)
    await ticks()

    modern.upstream.stop()

    assert (await listener.outcome()).kind is FailureKind.PROTOCOL


@pytest.mark.parametrize("code", [jsonrpc.HEADER_MISMATCH, jsonrpc.UNSUPPORTED_REVISION])
@pytest.mark.parametrize("method", ["prompts/get", "tools/call"])
async def test_errors_about_our_own_hop_are_never_relayed(code: int, method: str):
    server = modern_server()
    server.answers[method] = refuse(code)
    modern = await discovered(server)

    listener = await modern.call(method=method)

    assert listener.outcomes[0].kind is FailureKind.PROTOCOL


async def test_tools_with_invalid_annotations_are_not_offered():
    twice = {"type": "object", "properties": {name: {"type": "string", "x-mcp-header": "A"} for name in "xy"}}
    modern = await discovered(modern_server(tool("good", inputSchema=CITY), tool("bad", inputSchema=twice)))

    listing = await modern.upstream.list_everything(Listing())

    assert [item.identity for item in listing.tools] == ["good"]


async def test_acknowledgements_that_arrive_outside_of_a_stream_are_not_notifications():
    modern = await discovered(modern_server(capabilities={"tools": {"listChanged": True}}))

    modern.transport.deliver(jsonrpc.notification("notifications/subscriptions/acknowledged"))
    modern.transport.deliver(jsonrpc.notification("notifications/tools/list_changed"))

    assert modern.notified == ["notifications/tools/list_changed"]


async def test_a_message_nobody_expects_does_no_harm():
    modern = await discovered(modern_server())

    modern.transport.deliver(jsonrpc.request(1, "sampling/createMessage", b"{}"))
    modern.transport.unsolicited(Message(method="notifications/unknown"))

    assert isinstance((await modern.call()).outcomes[0], Reply)


async def test_resources_are_followed_and_their_updates_notified():
    modern = await discovered(modern_server(capabilities={"resources": {"subscribe": True}}))
    quiet = "subscriptions/listen" not in modern.server.methods

    modern.upstream.subscribe(frozenset({"a:"}))
    (number,) = modern.server.ids_of("subscriptions/listen")
    meta = {jsonrpc.SUBSCRIPTION_ID_KEY: number}
    modern.say("notifications/subscriptions/acknowledged", _meta=meta, notifications={"resourceSubscriptions": ["a:"]})
    modern.say("notifications/resources/updated", _meta=meta, uri="a:")

    assert quiet
    assert modern.updated == ["a:"]


async def test_logs_without_a_hint_never_reach_one_of_several_callers():
    modern = await discovered(modern_server())
    modern.server.answers["tools/call"] = SILENCE
    (_, alice), (_, bob) = (modern.start(log_level="info", session=session) for session in (b"a", b"b"))

    modern.say("notifications/message", level="error", data=1)

    assert alice.logged == bob.logged == []
    assert modern.notified == []
