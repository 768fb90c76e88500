"""A client of the handshake era at the bridge: its session, its streams, and what becomes of them when they break."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from actors.core import sse
from tests.support.bridge_client import INITIALIZE, INITIALIZED, error, result, talking
from tests.support.http_servers import Naps, event_answer
from tests.support.processes import eventually

CHANGED = b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
ROOTS = b'{"jsonrpc":"2.0","id":"q","method":"roots/list"}'


async def hanging(request: web.Request, *events: bytes) -> web.StreamResponse:
    """A stream that stays open."""
    response = await event_answer(request, *events)
    await asyncio.sleep(60)
    return response


async def test_everything_after_the_handshake_names_the_session_and_the_revision() -> None:
    async with talking() as (client, gateway):
        await client.open()
        answer = await client.ask("tools/list", 1)
        await eventually(lambda: gateway.verbs("GET"))

    named = [
        *(headers for headers, _ in gateway.messages("notifications/initialized")),
        *(headers for headers, _ in gateway.messages("tools/list")),
        *gateway.verbs("GET"),
        *gateway.verbs("DELETE"),
    ]
    ((first, _),) = gateway.messages("initialize")
    assert answer["result"] == {"did": "tools/list"}
    assert "mcp-session-id" not in first
    assert "mcp-protocol-version" not in first
    assert [(one["mcp-session-id"], one["mcp-protocol-version"]) for one in named] == [("s1", "2025-11-25")] * 4


async def test_a_client_that_writes_everything_at_once_is_served_in_order() -> None:
    async def slow(request: web.Request, message: Any) -> None:
        if message and message.get("method") in ("initialize", "notifications/initialized"):
            await asyncio.sleep(0.05)

    async with talking(slow) as (client, gateway):
        client.say(INITIALIZE, INITIALIZED, {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        ids = [(await client.hear())["id"], (await client.hear())["id"]]

    posted = [message["method"] for verb, _, message in gateway.heard if verb == "POST"]
    assert ids == [0, 1]
    assert posted == ["initialize", "notifications/initialized", "tools/list"]


async def test_a_request_before_the_handshake_gets_the_answer_of_the_gateway() -> None:
    async def demands(request: web.Request, message: Any) -> web.Response | None:
        if request.headers.get("Mcp-Session-Id") or message["method"] == "initialize":
            return None
        return web.json_response(error(message, -32600, "initialize first"), status=400)

    async with talking(demands) as (client, _):
        answer = await client.ask("tools/list", 3)

    assert answer == {"jsonrpc": "2.0", "id": 3, "error": {"code": -32600, "message": "initialize first"}}


async def test_a_gateway_without_sessions_is_served_without_them() -> None:
    async def stateless(request: web.Request, message: Any) -> web.Response | None:
        if message and message.get("method") == "initialize":
            return web.json_response(result(message, {"protocolVersion": "2025-06-18"}))
        return None

    async with talking(stateless) as (client, gateway):
        await client.open()
        await client.ask("tools/list")

    ((headers, _),) = gateway.messages("tools/list")
    assert headers["mcp-protocol-version"] == "2025-06-18"
    assert "mcp-session-id" not in headers
    assert gateway.verbs("DELETE") == []


async def test_what_the_server_says_by_itself_is_written_and_answers_go_back() -> None:
    async def asks(request: web.Request, message: Any) -> web.StreamResponse | None:
        if request.method != "GET":
            return None
        return await hanging(request, sse.event(CHANGED), sse.event(ROOTS))

    async with talking(asks) as (client, gateway):
        await client.open()
        changed, question = await client.hear_line(), await client.hear_line()
        client.say({"jsonrpc": "2.0", "id": "q", "result": {"roots": []}})
        await eventually(lambda: [1 for _, _, body in gateway.heard if body and body.get("id") == "q"])

    answered = [headers for _, headers, body in gateway.heard if body and body.get("id") == "q"]
    assert (changed, question) == (CHANGED, ROOTS)
    assert answered[0]["mcp-session-id"] == "s1"


async def test_the_stream_goes_on_after_the_last_event_that_arrived() -> None:
    streams: list[web.Request] = []

    async def breaks(request: web.Request, message: Any) -> web.StreamResponse | None:
        if request.method != "GET":
            return None
        streams.append(request)
        response = await event_answer(request, sse.event(CHANGED, event_id=f"e{len(streams)}"))
        if len(streams) == 3:
            await asyncio.sleep(60)
        return response

    naps = Naps()
    async with talking(breaks, naps=naps) as (client, _):
        await client.open()
        heard = [await client.hear_line() for _ in range(3)]

    assert heard == [CHANGED] * 3
    assert [stream.headers.get("Last-Event-ID") for stream in streams] == [None, "e1", "e2"]
    assert len(naps.taken) == 2


@pytest.mark.parametrize(("status", "again"), [(503, True), (409, True), (404, False), (405, False)])
async def test_a_stream_that_is_refused_is_asked_for_again_where_that_may_help(status: int, again: bool) -> None:
    asked = 0

    async def refuses(request: web.Request, message: Any) -> web.StreamResponse | None:
        nonlocal asked
        if request.method != "GET":
            return None
        asked += 1
        return web.Response(status=status) if asked < 3 else await hanging(request, sse.event(CHANGED))

    async with talking(refuses) as (client, gateway):
        await client.open()
        await eventually(lambda: asked)
        if again:
            assert await client.hear_line() == CHANGED
        assert "result" in await client.ask("tools/list")

    assert asked == (3 if again else 1)
    assert len(gateway.messages("initialize")) == 1


async def test_an_answer_whose_stream_breaks_is_fetched_from_where_it_broke() -> None:
    asked: list[Any] = []

    async def polls(request: web.Request, message: Any) -> web.StreamResponse | None:
        if request.method == "GET" and request.headers.get("Last-Event-ID") == "mark":
            answer = json.dumps(result(asked[0], {"late": True})).encode()
            return await event_answer(request, sse.event(CHANGED, event_id="2"), sse.event(answer))
        if message and message.get("method") == "tools/call":
            asked.append(message)
            return await event_answer(request, b"id: mark\nretry: 2500\ndata: \n\n")
        return None

    naps = Naps()
    async with talking(polls, naps=naps) as (client, gateway):
        await client.open()
        client.say({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "x"}})
        first, second = await client.hear_line(), await client.hear()

    assert first == CHANGED
    assert second == {"jsonrpc": "2.0", "id": 5, "result": {"late": True}}
    assert naps.taken == [2.5]
    assert len(gateway.messages("tools/call")) == 1


async def test_an_answer_that_never_comes_back_is_an_error_after_a_few_attempts() -> None:
    async def forgets(request: web.Request, message: Any) -> web.StreamResponse | None:
        if request.method == "GET" and request.headers.get("Last-Event-ID"):
            return web.Response(status=503)
        if message and message.get("method") == "tools/call":
            return await event_answer(request, b"id: mark\ndata: \n\n")
        return None

    async with talking(forgets) as (client, gateway):
        await client.open()
        answer = await client.ask("tools/call", 5, name="x")

    assert answer["error"]["data"] == {"reason": "disconnected"}
    assert len([one for one in gateway.verbs("GET") if "last-event-id" in one]) == 5
    assert len(gateway.messages("tools/call")) == 1


def forgets_after(*sessions: str) -> Any:
    """A gateway that does not know these sessions any more, once somebody has said `forget`."""
    gone: set[str] = set()

    async def say(request: web.Request, message: Any) -> web.Response | None:
        if message and message.get("method") == "notifications/forget":
            gone.update(sessions)
            return None
        if request.headers.get("Mcp-Session-Id") in gone:
            return web.json_response(
                {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "gone"}}, status=404
            )
        return None

    return say


FORGET = {"jsonrpc": "2.0", "method": "notifications/forget"}


async def test_what_a_forgotten_session_refused_is_repeated_in_a_new_one() -> None:
    async with talking(forgets_after("s1")) as (client, gateway):
        await client.open()
        await client.ask("logging/setLevel", 1, level="debug")
        await client.ask("resources/subscribe", 2, uri="a://b")
        await client.ask("resources/subscribe", 3, uri="c://d")
        await client.ask("resources/unsubscribe", 4, uri="c://d")
        client.say(FORGET)
        await eventually(lambda: gateway.messages("notifications/forget"))
        client.say(*({"jsonrpc": "2.0", "id": number, "method": "tools/list"} for number in range(5, 9)))
        answers = [await client.hear() for _ in range(4)]

    in_new = [
        message["method"] for _, headers, message in gateway.heard if message and headers.get("mcp-session-id") == "s2"
    ]
    assert sorted(answer["id"] for answer in answers) == [5, 6, 7, 8]
    assert all("result" in answer for answer in answers)
    assert len(gateway.messages("initialize")) == 2, "one new session for all that noticed"
    assert gateway.messages("initialize")[1][1] == INITIALIZE
    assert in_new[:3] == ["notifications/initialized", "logging/setLevel", "resources/subscribe"]
    assert in_new[3:7] == ["tools/list"] * 4


async def test_a_session_that_is_forgotten_again_at_once_is_an_error_and_not_a_loop() -> None:
    async with talking(forgets_after("s1", "s2")) as (client, gateway):
        await client.open()
        client.say(FORGET)
        await eventually(lambda: gateway.messages("notifications/forget"))
        answer = await client.ask("tools/list", 5)

    assert "initialize again" in answer["error"]["message"]
    assert len(gateway.messages("initialize")) == 2


async def test_a_gateway_that_comes_back_with_another_revision_is_an_error() -> None:
    forgets = forgets_after("s1")

    async def older(request: web.Request, message: Any) -> web.Response | None:
        refused: web.Response | None = await forgets(request, message)
        if refused is None and message and message.get("method") == "initialize" and older_now:
            given = {"protocolVersion": "2025-03-26"}
            return web.json_response(result(message, given), headers={"Mcp-Session-Id": "s9"})
        return refused

    older_now = False
    async with talking(older) as (client, gateway):
        await client.open()
        client.say(FORGET)
        await eventually(lambda: gateway.messages("notifications/forget"))
        older_now = True
        answer = await client.ask("tools/list", 5)

    assert "another revision" in answer["error"]["message"]
    assert [one["mcp-session-id"] for one in gateway.verbs("DELETE")] == ["s9", "s1"]


async def test_an_answer_to_a_session_that_is_over_is_not_sent_into_the_next() -> None:
    forgets = forgets_after("s1")

    async def asks(request: web.Request, message: Any) -> web.StreamResponse | None:
        if request.method == "GET" and request.headers.get("Mcp-Session-Id") == "s1":
            return await hanging(request, sse.event(ROOTS))
        refused: web.Response | None = await forgets(request, message)
        return refused

    async with talking(asks) as (client, gateway):
        await client.open()
        assert await client.hear_line() == ROOTS
        client.say(FORGET)
        await eventually(lambda: gateway.messages("notifications/forget"))
        await client.ask("tools/list", 5)
        client.say({"jsonrpc": "2.0", "id": "q", "result": {"roots": []}})
        await client.ask("tools/list", 6)
        client.say({"jsonrpc": "2.0", "method": "notifications/marker"})
        await eventually(lambda: gateway.messages("notifications/marker"))

    assert [body for _, _, body in gateway.heard if body and body.get("id") == "q"] == []


async def test_a_stream_that_ends_because_the_session_did_opens_a_new_session() -> None:
    forgets = forgets_after("s1")
    forget = asyncio.Event()

    async def streams(request: web.Request, message: Any) -> web.StreamResponse | None:
        refused: web.Response | None = await forgets(request, message)
        if refused is not None or request.method != "GET":
            return refused
        session = request.headers["Mcp-Session-Id"].encode()
        response = await event_answer(request, sse.event(CHANGED.replace(b"tools", session)))
        await (forget.wait() if session == b"s1" else asyncio.sleep(60))
        return response

    async with talking(streams) as (client, gateway):
        await client.open()
        first = await client.hear()
        client.say(FORGET)
        await eventually(lambda: gateway.messages("notifications/forget"))
        forget.set()
        second = await client.hear()

    assert (first["method"], second["method"]) == ("notifications/s1/list_changed", "notifications/s2/list_changed")


async def test_a_cancelled_request_is_cancelled_by_a_notification_and_not_answered() -> None:
    async def hangs(request: web.Request, message: Any) -> web.StreamResponse | None:
        if message and message.get("method") == "tools/call":
            return await hanging(request, sse.comment())
        return None

    async with talking(hangs) as (client, gateway):
        await client.open()
        client.say({"jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": {"name": "x"}})
        await eventually(lambda: gateway.messages("tools/call"))
        client.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c"}})
        await eventually(lambda: gateway.messages("notifications/cancelled"))
        answer = await client.ask("tools/list", "d")

    ((headers, _),) = gateway.messages("notifications/cancelled")
    assert answer["id"] == "d"
    assert headers["mcp-session-id"] == "s1"


@pytest.mark.parametrize("request_id", [0, "unknown", None, 1.5, []])
async def test_a_cancellation_of_nothing_that_can_be_cancelled_is_ignored(request_id: Any) -> None:
    async with talking() as (client, gateway):
        client.say(
            INITIALIZE, {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}
        )
        answer = await client.hear()

    assert answer["id"] == 0
    assert gateway.messages("notifications/cancelled") == []


async def test_a_batch_of_the_one_revision_that_has_them_is_answered_as_one() -> None:
    old = {**INITIALIZE, "params": {"protocolVersion": "2025-03-26", "capabilities": {}}}
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        {"jsonrpc": "2.0", "method": "notifications/x"},
        {"jsonrpc": "2.0", "id": 2, "method": "ping"},
        7,
    ]

    async with talking() as (client, gateway):
        client.say(old, INITIALIZED)
        await client.hear()
        client.say(batch)
        answers = await client.hear()
        await eventually(lambda: gateway.messages("notifications/x"))

    assert [answer["id"] for answer in answers] == [1, 2, None]
    assert answers[2]["error"]["code"] == -32600


async def test_a_batch_of_another_revision_is_refused() -> None:
    async with talking() as (client, gateway):
        await client.open()
        client.say([{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}])
        answer = await client.hear()

    assert (answer["id"], answer["error"]["code"]) == (None, -32600)
    assert gateway.messages("tools/list") == []


async def test_initializing_again_ends_the_session_before() -> None:
    async with talking() as (client, gateway):
        await client.open()
        client.say({**INITIALIZE, "id": 9})
        await client.hear()
        await client.ask("tools/list", 10)

    ((headers, _),) = gateway.messages("tools/list")
    assert headers["mcp-session-id"] == "s2"
    assert [one["mcp-session-id"] for one in gateway.verbs("DELETE")] == ["s1", "s2"]
