"""Clients of the modern era, from their POST to what a backend sees of it and back."""

import json

import pytest

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.core.listing import Facts
from actors.core.outcome import Reply
from actors.core.revisions import HANDSHAKE_REVISIONS, Era
from tests.support.asgi import Conversation
from tests.support.house import Plan, Replica, answer, complete, doorway, keep
from tests.support.posts import CAPABILITIES_KEY, MODERN, VERSION_KEY, ModernClient, modern_meta

SERVER_INFO_KEY = "io.modelcontextprotocol/serverInfo"


def refused(conversation: Conversation) -> tuple[int, int]:
    """The HTTP status and the JSON-RPC code."""
    return conversation.status, conversation.json["error"]["code"]


def server_error(code: int, era: Era = Era.MODERN) -> Replica:
    error = json.dumps({"code": code, "message": "no", "data": {"more": 1}}).encode()
    return Replica(behave=lambda exchange: exchange.finish(Reply(error, era, is_error=True)))


@pytest.mark.parametrize("missing", [VERSION_KEY, CAPABILITIES_KEY])
async def test_a_request_without_its_envelope_is_refused_and_told_what_is_missing(missing: str) -> None:
    meta = {key: value for key, value in modern_meta().items() if key != missing}
    replica = Replica()
    async with doorway(replica) as gateway:
        answered = await ModernClient(gateway).call("git__echo", meta=meta)

    assert refused(answered) == (400, -32602)
    assert missing in answered.json["error"]["message"]
    assert replica.exchanges == []


@pytest.mark.parametrize("meta", [{VERSION_KEY: 7}, {VERSION_KEY: None}, {CAPABILITIES_KEY: []}, {CAPABILITIES_KEY: 1}])
async def test_an_envelope_of_the_wrong_types_is_refused(meta: dict[str, object]) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway).call("git__echo", meta=modern_meta(**meta))

    assert refused(answered) == (400, -32602)


async def test_an_unsupported_revision_is_told_which_ones_there_are() -> None:
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway).ask(
            "tools/list",
            meta=modern_meta(**{VERSION_KEY: "2099-01-01"}),
            headers={"mcp-protocol-version": "2099-01-01"},
        )

    assert refused(answered) == (400, -32022)
    data = answered.json["error"]["data"]
    assert data == {"supported": [MODERN, *reversed(HANDSHAKE_REVISIONS)], "requested": "2099-01-01"}


@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "no/such", ""],
)
async def test_methods_that_this_revision_does_not_have_are_not_found(method: str) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway).ask(method)

    assert refused(answered) == (404, -32601)
    assert answered.json["id"] == 1


async def test_a_notification_is_taken_without_an_answer() -> None:
    async with doorway(Replica()) as gateway:
        answered = (
            await ModernClient(gateway)
            .start_raw(b'{"jsonrpc":"2.0","method":"notifications/whatever"}', {"mcp-protocol-version": MODERN})
            .answered()
        )

    assert (answered.status, answered.body) == (202, b"")


@pytest.mark.parametrize("request_id", [1, 0, -7, "", "a", "größe", 2**63])
async def test_the_answer_has_the_id_of_the_request(request_id: int | str) -> None:
    async with doorway(Replica()) as gateway:
        called = await ModernClient(gateway).call("git__echo", request_id=request_id)
        listed = await ModernClient(gateway).ask("tools/list", request_id=request_id)

    assert called.json["id"] == listed.json["id"] == request_id


async def test_a_backend_sees_this_requests_client_and_nothing_of_the_hop() -> None:
    replica = Replica()
    meta = modern_meta(
        **{CAPABILITIES_KEY: {"elicitation": {"form": {}}}, "io.modelcontextprotocol/clientInfo": {"name": "me"}},
        traceparent="00-1",
        progressToken="p",
    )
    async with doorway(replica) as gateway:
        await ModernClient(gateway).call("git__echo", {"a": 1}, meta=meta)
        await ModernClient(gateway).call("git__echo")

    first, second = (exchange.call for exchange in replica.exchanges)
    assert json.loads(first.capabilities) == {"elicitation": {"form": {}}}
    assert json.loads(first.client_info or b"") == {"name": "me"}
    assert json.loads(first.meta) == {"traceparent": "00-1"}
    assert json.loads(first.params) == {"name": "echo", "arguments": {"a": 1}}
    assert first.wants_progress
    assert (second.capabilities, second.client_info, second.wants_progress) == (b"{}", None, False)


@pytest.mark.parametrize(("code", "status"), [(-32602, 400), (-32021, 400), (-32601, 404), (-32603, 200), (-1, 200)])
async def test_a_servers_error_comes_whole_and_with_its_status(code: int, status: int) -> None:
    async with doorway(server_error(code)) as gateway:
        answered = await ModernClient(gateway).call("git__echo")

    assert answered.status == status
    assert answered.json["error"] == {"code": code, "message": "no", "data": {"more": 1}}


async def test_a_resource_that_is_not_there_is_an_invalid_parameter_whoever_says_so() -> None:
    async with doorway(server_error(-32002, Era.HANDSHAKE)) as gateway:
        client = ModernClient(gateway)
        from_the_server = await client.ask("resources/read", {"uri": "file:///a"})
        from_the_gateway = await client.ask("resources/read", {"uri": "file:///none"})

    assert refused(from_the_server) == refused(from_the_gateway) == (400, -32602)
    assert from_the_gateway.json["error"]["data"] == {"uri": "file:///none"}


@pytest.mark.parametrize(
    ("method", "key"), [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri")]
)
@pytest.mark.parametrize("value", ["none", None, 5])
async def test_what_is_in_no_catalogue_is_an_invalid_parameter(method: str, key: str, value: object) -> None:
    replica = Replica()
    async with doorway(replica) as gateway:
        answered = await ModernClient(gateway).ask(method, {key: value})

    assert refused(answered) == (400, -32602)
    assert replica.exchanges == []


@pytest.mark.parametrize("era", Era)
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "git__echo"}),
        ("prompts/get", {"name": "git__greet"}),
        ("resources/read", {"uri": "file:///a"}),
    ],
)
async def test_every_result_says_its_type_and_whose_it_is(era: Era, method: str, params: dict[str, str]) -> None:
    result = {"x": 1} if era is Era.HANDSHAKE else complete({"x": 1, "ttlMs": 5, "cacheScope": "public"})
    async with doorway(Replica(behave=lambda exchange: answer(exchange, result, era))) as gateway:
        answered = (await ModernClient(gateway).ask(method, params)).json["result"]

    assert answered["resultType"] == "complete"
    assert answered["x"] == 1
    if era is Era.HANDSHAKE:
        assert answered["_meta"][SERVER_INFO_KEY]["name"] == "only1mcp"
        assert ("ttlMs" in answered) == ("cacheScope" in answered) == (method == "resources/read")


async def test_discovery_says_what_the_aggregate_offers() -> None:
    async with doorway(Replica()) as gateway:
        result = (await ModernClient(gateway).ask("server/discover")).json["result"]

    assert result["supportedVersions"][0] == MODERN
    assert {"tools", "resources", "prompts"} <= set(result["capabilities"])
    assert result["_meta"][SERVER_INFO_KEY]["name"] == "only1mcp"
    assert result["resultType"] == "complete"
    assert result["ttlMs"] >= 0
    assert result["cacheScope"] in ("private", "public")


async def test_discovery_at_one_server_is_that_server_speaking() -> None:
    facts = Facts(Era.HANDSHAKE, "2025-06-18", b'{"name":"upstream","version":"7"}', b'{"tools":{}}', "be kind")
    async with doorway(Replica(), plan=Plan(facts={"git": facts})) as gateway:
        result = (await ModernClient(gateway, "/servers/git/mcp").ask("server/discover")).json["result"]

    assert result["_meta"][SERVER_INFO_KEY] == {"name": "upstream", "version": "7"}
    assert (result["capabilities"], result["instructions"]) == ({"tools": {"listChanged": True}}, "be kind")


@pytest.mark.parametrize("method", ["tools/list", "resources/list", "resources/templates/list", "prompts/list"])
async def test_lists_are_whole_always_the_same_and_say_how_long_they_keep(method: str) -> None:
    async with doorway(Replica("git"), Replica("alpha")) as gateway:
        client = ModernClient(gateway)
        first, second = await client.ask(method), await client.ask(method)
        null_cursor = await client.ask(method, {"cursor": None})

    result = first.json["result"]
    assert first.body == second.body == null_cursor.body
    assert result["resultType"] == "complete"
    assert result["ttlMs"] >= 0
    assert result["cacheScope"] in ("private", "public")


async def test_tools_are_listed_by_backend_and_lose_nothing() -> None:
    async with doorway(Replica("git"), Replica("alpha")) as gateway:
        aggregate = (await ModernClient(gateway).ask("tools/list")).json["result"]["tools"]
        transparent = (await ModernClient(gateway, "/servers/git/mcp").ask("tools/list")).json["result"]["tools"]

    assert [tool["name"] for tool in aggregate] == ["alpha__echo", "git__echo"]
    assert [{**tool, "name": "echo"} for tool in aggregate] == transparent * 2
    assert transparent == [{"name": "echo", "inputSchema": {"type": "object"}, "x-more": [1.0]}]


@pytest.mark.parametrize("cursor", ["x", 5, {}])
async def test_no_cursor_is_valid_because_there_is_one_page(cursor: object) -> None:
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway).ask("tools/list", {"cursor": cursor})

    assert refused(answered) == (400, -32602)


async def test_sessions_are_neither_made_nor_looked_at() -> None:
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway).call("git__echo", headers={"mcp-session-id": "nonsense"})

    assert answered.status == 200
    assert answered.header("mcp-session-id") is None


async def test_a_client_that_leaves_cancels_its_call() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        conversation = ModernClient(gateway).start("tools/call", {"name": "git__echo"})
        await conversation.until(lambda _: bool(replica.running))

        await conversation.leave()

        await conversation.until(lambda _: bool(replica.cancellations))
    assert replica.cancellations == ["the client closed the connection"]
    assert conversation.sent == []


async def test_a_client_that_leaves_in_mid_stream_cancels_its_call_and_no_other() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica, plan=Plan(keep_alive=0.02)) as gateway:
        leaving = ModernClient(gateway).start("tools/call", {"name": "git__echo", "arguments": {"n": 1}})
        await leaving.until(lambda each: each.streams)
        staying = ModernClient(gateway).start("tools/call", {"name": "git__echo", "arguments": {"n": 2}})
        await staying.until(lambda each: each.streams)

        await leaving.leave()
        await staying.until(lambda _: bool(replica.cancellations))
        finish(replica.exchanges[1])
        answered = await staying.answered()

    assert [exchange.cancelled is not None for exchange in replica.exchanges] == [True, False]
    assert answered.events[-1]["result"]["done"] is True


async def test_logs_come_on_the_stream_of_the_request_that_asked_for_them() -> None:
    replica = Replica(behave=keep)
    level = {"io.modelcontextprotocol/logLevel": "info"}
    async with doorway(replica) as gateway:
        conversation = ModernClient(gateway).start("tools/call", {"name": "git__echo"}, meta=modern_meta(**level))
        await conversation.until(lambda _: bool(replica.running))
        log(replica.exchanges[0])
        finish(replica.exchanges[0])
        events = (await conversation.answered()).events

    assert replica.exchanges[0].call.log_level == "info"
    assert events[0] == {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}}


@pytest.mark.parametrize("level", ["loud", 3, None])
async def test_an_unknown_log_level_is_refused(level: object) -> None:
    meta = modern_meta(**{"io.modelcontextprotocol/logLevel": level})
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway).call("git__echo", meta=meta)

    assert refused(answered) == (400, -32602)


def finish(exchange: Exchange) -> None:
    answer(exchange, complete({"done": True}))


def log(exchange: Exchange) -> None:
    assert exchange.emit(EventKind.LOG, b'{"data":"x"}')
