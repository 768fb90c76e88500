"""A modern client of the bridge: a POST for each request, with the headers that repeat it."""

import asyncio
import json
from typing import Any, Final

import pytest
from aiohttp import web

from actors.core import sse
from tests.support.bridge_client import bridged, error, result, talking
from tests.support.http_servers import event_answer
from tests.support.processes import eventually
from tests.support.sdk_client import MODERN_META

REVISION: Final = "2026-07-28"
REGIONAL: Final = {
    "name": "regional",
    "inputSchema": {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "size": {"type": "integer"}},
    },
}
PLAIN: Final = {"name": "plain", "inputSchema": {"type": "object"}}


def modern(method: str, request_id: Any = 1, meta: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": meta or MODERN_META}}


def called(tool: str, request_id: Any = 1, **arguments: Any) -> dict[str, Any]:
    return modern("tools/call", request_id, name=tool, arguments=arguments)


async def lists_two_pages(request: web.Request, message: Any) -> web.Response | None:
    if message["method"] != "tools/list":
        return None
    if "cursor" in message["params"]:
        return web.json_response(result(message, {"tools": [REGIONAL]}))
    return web.json_response(result(message, {"tools": [PLAIN], "nextCursor": "more"}))


async def test_a_request_is_posted_as_it_is_with_the_headers_that_repeat_it() -> None:
    async with talking() as (client, gateway):
        client.say(modern("resources/read", uri="file:///Zürich"))
        answer = await client.hear()

    ((headers, message),) = gateway.messages("resources/read")
    assert answer["result"] == {"did": "resources/read"}
    assert headers["mcp-protocol-version"] == REVISION
    assert headers["mcp-method"] == "resources/read"
    assert headers["mcp-name"] == "=?base64?ZmlsZTovLy9aw7xyaWNo?="
    assert headers["accept"] == "application/json, text/event-stream"
    assert "mcp-session-id" not in headers
    assert message == modern("resources/read", uri="file:///Zürich")


@pytest.mark.parametrize("request_id", [b"7", b'"7"', b'"\\u00e9\\/"', '"é"'.encode(), b"-0"])
async def test_an_id_comes_back_byte_by_byte(request_id: bytes) -> None:
    async with talking() as (client, _):
        client.say(json.dumps(modern("ping", "ID")).encode().replace(b'"ID"', request_id))

        assert b'"id":' + request_id + b"," in (await client.hear_line()).replace(b'"id": ', b'"id":')


async def test_arguments_travel_in_headers_as_the_schema_wants_after_one_look_at_the_list() -> None:
    async with talking(lists_two_pages) as (client, gateway):
        for number in range(3):
            client.say(called("regional", number, region=" eu "))
            await client.hear()
        client.say(called("nobody", 9))
        await client.hear()

    assert [headers["mcp-param-region"] for headers, _ in gateway.messages("tools/call")[:3]] == [
        "=?base64?IGV1IA==?="
    ] * 3
    assert len(gateway.messages("tools/list")) == 4, "two pages, once for the first tool and once for the unknown one"
    assert all(headers["mcp-method"] == "tools/list" for headers, _ in gateway.messages("tools/list"))


async def test_calls_that_begin_together_look_at_the_list_once() -> None:
    async with talking(lists_two_pages) as (client, gateway):
        client.say(*(called("regional", number, region="eu") for number in range(10)))
        ids = {(await client.hear())["id"] for _ in range(10)}

    assert ids == set(range(10))
    assert len(gateway.messages("tools/list")) == 2


async def test_a_list_that_passes_by_is_learnt_from() -> None:
    async with talking(lists_two_pages) as (client, gateway):
        client.say(modern("tools/list", 1), modern("tools/list", 2, cursor="more"))
        await client.hear()
        await client.hear()
        client.say(called("regional", 3, region="eu"), called("plain", 4))
        await client.hear()
        await client.hear()

    assert len(gateway.messages("tools/list")) == 2
    assert {headers.get("mcp-param-region") for headers, _ in gateway.messages("tools/call")} == {"eu", None}


async def test_a_call_refused_for_its_headers_is_repeated_once_with_those_of_the_new_schema() -> None:
    lists = iter([[PLAIN, {**REGIONAL, "inputSchema": {"type": "object"}}], [REGIONAL]])

    async def changed(request: web.Request, message: Any) -> web.Response | None:
        if message["method"] == "tools/list":
            return web.json_response(result(message, {"tools": next(lists)}))
        if "Mcp-Param-Region" not in request.headers:
            return web.json_response(error(message, -32020), status=400)
        return None

    async with talking(changed) as (client, gateway):
        client.say(called("regional", region="eu"))
        answer = await client.hear()

    assert answer["result"] == {"did": "tools/call"}
    assert len(gateway.messages("tools/call")) == 2


async def test_a_refusal_that_no_new_schema_explains_is_the_answer() -> None:
    async def refuses(request: web.Request, message: Any) -> web.Response | None:
        if message["method"] == "tools/list":
            return web.json_response(result(message, {"tools": [PLAIN]}))
        return web.json_response(error(message, -32020, "no reason"), status=400)

    async with talking(refuses) as (client, gateway):
        client.say(called("plain"))
        answer = await client.hear()

    assert answer["error"] == {"code": -32020, "message": "no reason"}
    assert len(gateway.messages("tools/call")) == 1


async def test_what_is_said_before_the_response_comes_before_it_and_at_once() -> None:
    go_on = asyncio.Event()

    async def reports(request: web.Request, message: Any) -> web.StreamResponse:
        progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
        response = await event_answer(request, sse.comment(), sse.event(json.dumps(progress, indent=1).encode()))
        await go_on.wait()
        await response.write(sse.event(json.dumps(result(message, {"done": True})).encode()))
        return response

    async with talking(reports) as (client, _):
        client.say(modern("prompts/get", name="x"))
        first = await client.hear()
        go_on.set()
        second = await client.hear()

    assert first["method"] == "notifications/progress"
    assert second["result"] == {"done": True}


async def test_a_cancelled_request_closes_its_stream_and_is_not_answered() -> None:
    closed = asyncio.Event()

    async def hangs(request: web.Request, message: Any) -> web.StreamResponse | None:
        if message["method"] != "prompts/get":
            return None
        response = await event_answer(request, sse.comment())
        try:
            await asyncio.sleep(60)
        finally:
            closed.set()
        return response

    async with talking(hangs) as (client, gateway):
        client.say(modern("prompts/get", "a", name="x"))
        await eventually(lambda: gateway.messages("prompts/get"))
        client.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "a"}})
        await eventually(closed.is_set)
        client.say(modern("ping", "b"))

        assert (await client.hear())["id"] == "b"
        assert gateway.messages("notifications/cancelled") == []


async def test_a_request_whose_stream_breaks_fails_and_is_not_sent_again() -> None:
    async def breaks(request: web.Request, message: Any) -> web.StreamResponse:
        return await event_answer(request, sse.event(b"", event_id="1"), sse.comment())

    async with talking(breaks) as (client, gateway):
        client.say(modern("prompts/get", name="x"))
        answer = await client.hear()

    assert answer["error"]["data"] == {"reason": "disconnected"}
    assert "may have run" in answer["error"]["message"]
    assert len(gateway.heard) == 1, "this era has no streams to resume"


async def test_a_request_of_the_server_is_not_passed_on() -> None:
    async def asks(request: web.Request, message: Any) -> web.StreamResponse:
        question = sse.event(b'{"jsonrpc":"2.0","id":1,"method":"roots/list"}')
        return await event_answer(request, question, sse.event(json.dumps(result(message, {})).encode()))

    async with talking(asks) as (client, _):
        client.say(modern("prompts/get", name="x"))

        assert "result" in await client.hear()


async def test_a_changed_list_is_looked_at_again() -> None:
    async def listens(request: web.Request, message: Any) -> web.StreamResponse | None:
        if message["method"] == "subscriptions/listen":
            changed = sse.event(b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
            return await event_answer(request, changed, sse.event(json.dumps(result(message, {})).encode()))
        return await lists_two_pages(request, message)

    async with talking(listens) as (client, gateway):
        client.say(called("regional", 1, region="eu"))
        await client.hear()
        client.say(modern("subscriptions/listen", 2, notifications={"toolsListChanged": True}))
        changed, end = await client.hear(), await client.hear()
        client.say(called("regional", 3, region="eu"))
        await client.hear()

    assert (changed["method"], end["id"]) == ("notifications/tools/list_changed", 2)
    assert len(gateway.messages("tools/list")) == 4


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (modern("tools/list", meta={**MODERN_META, "io.modelcontextprotocol/protocolVersion": "2026\r\nX: y"}), -32602),
        (modern("tools/list\r\nX: y"), -32601),
        (modern("tools/list é"), -32601),
    ],
)
async def test_what_no_header_can_say_is_refused_here(request_: dict[str, Any], code: int) -> None:
    async with talking() as (client, gateway):
        client.say(request_)
        answer = await client.hear()

    assert (answer["id"], answer["error"]["code"]) == (1, code)
    assert gateway.heard == []


async def test_a_request_without_an_envelope_belongs_to_the_era_of_those_before_it() -> None:
    async with talking() as (client, gateway):
        client.say(modern("server/discover", 1))
        await client.hear()
        await client.ask("tools/list", 2)

    ((headers, _),) = gateway.messages("tools/list")
    assert headers["mcp-protocol-version"] == REVISION


async def test_a_client_that_finds_no_modern_gateway_may_still_initialize() -> None:
    async def old(request: web.Request, message: Any) -> web.Response | None:
        if message and message.get("method") == "server/discover":
            refusal = {"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32600, "message": "Unsupported"}}
            return web.json_response(refusal, status=400)
        return None

    async with talking(old) as (client, gateway):
        client.say(modern("server/discover", "probe"))
        refused = await client.hear()
        opened = await client.open()
        listed = await client.ask("tools/list", 5)

    ((headers, _),) = gateway.messages("tools/list")
    assert refused == {"jsonrpc": "2.0", "id": "probe", "error": {"code": -32600, "message": "Unsupported"}}
    assert opened["result"]["protocolVersion"] == "2025-11-25"
    assert (listed["id"], headers["mcp-session-id"]) == (5, "s1")


async def test_headers_of_the_command_line_go_with_every_request() -> None:
    async with talking(headers={"Authorization": "Bearer t", "X-Team": "a"}) as (client, gateway):
        client.say(modern("tools/list"))
        await client.hear()

    ((headers, _),) = gateway.messages("tools/list")
    assert (headers["authorization"], headers["x-team"]) == ("Bearer t", "a")


async def test_a_gateway_that_is_not_there_is_said_to_be_so() -> None:
    async with bridged("http://127.0.0.1:9/mcp") as client:
        client.say(modern("tools/list", "x"))
        answer = await client.hear()

    assert answer["id"] == "x"
    assert "cannot connect to http://127.0.0.1:9" in answer["error"]["message"]
    assert answer["error"]["data"] == {"reason": "unavailable"}


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({}, "put a token into ONLY1MCP_TOKEN"),
        ({"Authorization": "Bearer o1m_x"}, "refused the token in ONLY1MCP_TOKEN"),
    ],
)
async def test_a_missing_or_wrong_credential_is_explained(headers: dict[str, str], sentence: str) -> None:
    async def locked(request: web.Request, message: Any) -> web.Response:
        return web.json_response(error(message, -32600, "who are you"), status=401)

    async with talking(locked, headers) as (client, _):
        answer = await client.ask("tools/list")

    assert sentence in answer["error"]["message"]
    assert "o1m_x" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (web.Response(status=503, text="busy"), "it answered HTTP 503"),
        (web.Response(status=200, text="<html>", content_type="text/html"), "text/html"),
        (web.Response(status=200, text="{", content_type="application/json"), "something else than a response"),
        (web.Response(status=202), "something else than a response"),
        (
            web.Response(status=302, headers={"Location": "http://secret.example/x?y"}),
            "redirects to http://secret.example;",
        ),
    ],
)
async def test_what_is_no_answer_is_an_error_that_says_what_it_was(response: web.Response, sentence: str) -> None:
    async def odd(request: web.Request, message: Any) -> web.Response:
        return response

    async with talking(odd) as (client, _):
        client.say(modern("tools/list", 4))
        answer = await client.hear()

    assert answer["id"] == 4
    assert sentence in answer["error"]["message"]


async def test_a_notification_is_posted_with_its_method_in_a_header() -> None:
    async with talking() as (client, gateway):
        client.say(modern("tools/list", 1))
        await client.hear()
        client.say({"jsonrpc": "2.0", "method": "notifications/x-vendor", "params": {"_meta": MODERN_META}})
        await eventually(lambda: gateway.messages("notifications/x-vendor"))

    ((headers, _),) = gateway.messages("notifications/x-vendor")
    assert headers["mcp-method"] == "notifications/x-vendor"
