"""Clients of the handshake era: sessions that any ingress replica knows, calls that outlive their connection."""

import json
from typing import Any

import pytest

from actors.core.outcome import Reply
from actors.core.principal import Kind, Principal, Verdict
from actors.core.revisions import HANDSHAKE_REVISIONS, LATEST_HANDSHAKE, Era
from serve_app.downstream.legacy import SESSION_SECONDS
from tests.support.asgi import Conversation
from tests.support.house import Plan, Replica, answer, complete, doorway, house, keep
from tests.support.posts import LegacyClient


async def client_of(gateway: Any, path: str = "/mcp", **more: Any) -> LegacyClient:
    """A client with a session."""
    client = LegacyClient(gateway, path, **more)
    assert (await client.initialize()).status == 200
    return client


def refused(conversation: Conversation) -> tuple[int, int]:
    return conversation.status, conversation.json["error"]["code"]


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
async def test_initialize_opens_a_session_of_the_revision_asked_for(revision: str) -> None:
    async with doorway(Replica()) as gateway:
        answered = await LegacyClient(gateway).initialize(revision)

    result = answered.json["result"]
    session = answered.header("mcp-session-id") or ""
    assert result["protocolVersion"] == revision
    assert result["serverInfo"]["name"] == "only1mcp"
    assert "tools" in result["capabilities"]
    assert len(session) == 64
    assert all(0x21 <= ord(char) <= 0x7E for char in session)


@pytest.mark.parametrize("revision", ["2099-01-01", "2026-07-28", ""])
async def test_an_unknown_revision_is_answered_with_the_newest_of_this_era(revision: str) -> None:
    params = {"protocolVersion": revision, "capabilities": {}}
    async with doorway(Replica()) as gateway:
        answered = await LegacyClient(gateway).ask("initialize", params, headers={"mcp-protocol-version": None})

    assert answered.json["result"]["protocolVersion"] == LATEST_HANDSHAKE


@pytest.mark.parametrize("params", [{}, {"protocolVersion": 5}])
async def test_initialize_without_a_revision_is_an_invalid_parameter(params: dict[str, object]) -> None:
    async with doorway(Replica()) as gateway:
        answered = await LegacyClient(gateway).ask("initialize", params)

    assert refused(answered) == (200, -32602)
    assert answered.header("mcp-session-id") is None


async def test_every_initialize_gives_another_session() -> None:
    async with doorway(Replica()) as gateway:
        sessions = {(await client_of(gateway)).session for _ in range(20)}

    assert len(sessions) == 20


async def test_a_whole_session_needs_no_ingress_replica_in_particular() -> None:
    async with house(Replica()) as gateways:
        client = await client_of(gateways.doorway())
        client.application = gateways.doorway()
        initialized = await client.notify("notifications/initialized")
        listed = await client.ask("tools/list")
        client.application = gateways.doorway()
        called = await client.call("git__echo", {"a": [1, None]})
        pinged = await client.ask("ping", request_id="p")

    assert (initialized.status, initialized.body) == (202, b"")
    assert [tool["name"] for tool in listed.json["result"]["tools"]] == ["git__echo"]
    assert called.json["result"]["got"] == {"a": [1, None]}
    assert pinged.json == {"jsonrpc": "2.0", "id": "p", "result": {}}


@pytest.mark.parametrize("method", ["tools/list", "tools/call", "ping", "notifications/initialized"])
async def test_without_a_session_nothing_but_initialize_is_answered(method: str) -> None:
    replica = Replica()
    async with doorway(replica) as gateway:
        answered = await LegacyClient(gateway).ask(method, {"name": "git__echo"})

    assert refused(answered) == (400, -32600)
    assert answered.json["id"] == 1
    assert replica.exchanges == []


async def test_a_session_that_is_not_known_sends_the_client_back_to_initialize() -> None:
    async with doorway(Replica()) as gateway:
        client = await client_of(gateway)
        session = client.session or ""
        forged = ["x", "A" * 64, session[:-1] + ("A" if session[-1] != "A" else "B"), session[::-1], session + "A"]
        answers = [await client.ask("ping", headers={"mcp-session-id": text}) for text in forged]
        good = await client.ask("ping")

    assert [refused(answered) for answered in answers] == [(404, -32600)] * len(forged)
    assert good.status == 200


async def test_a_session_ends_after_a_day() -> None:
    async with house(Replica()) as gateways:
        client = await client_of(gateways.doorway())

        gateways.clock.advance(SESSION_SECONDS - 1)
        before = await client.ask("ping")
        gateways.clock.advance(2)
        after = await client.ask("ping")

    assert (before.status, after.status) == (200, 404)


async def test_a_session_is_worth_nothing_to_another_principal() -> None:
    async def verify(credential: str) -> Verdict:
        return Verdict(Principal(credential, "", Kind.KEY), None, 60.0)

    async with doorway(Replica(), plan=Plan(verify=verify)) as gateway:
        alice = await client_of(gateway, headers=[("x-api-key", "alice")])
        mallory = LegacyClient(gateway, headers=[("x-api-key", "mallory")])
        mallory.session = alice.session

        stolen, own = await mallory.ask("ping"), await alice.ask("ping")

    assert (stolen.status, own.status) == (404, 200)


@pytest.mark.parametrize("path", ["/servers/git/mcp", "/servers/alpha/mcp"])
async def test_a_session_is_worth_nothing_at_another_endpoint(path: str) -> None:
    async with doorway(Replica("git"), Replica("alpha")) as gateway:
        session = (await client_of(gateway)).session
        there = LegacyClient(gateway, path)
        there.session = session

        answered = await there.ask("ping")

    assert answered.status == 404


async def test_a_request_without_a_version_header_belongs_to_this_era() -> None:
    async with doorway(Replica()) as gateway:
        client = await client_of(gateway)
        answered = await client.call("git__echo", headers={"mcp-protocol-version": None})

    assert answered.status == 200
    assert "resultType" not in answered.json["result"]


@pytest.mark.parametrize("revision", ["2020-01-01", "nonsense"])
async def test_a_request_of_a_revision_that_never_was_is_refused(revision: str) -> None:
    async with doorway(Replica()) as gateway:
        client = await client_of(gateway)
        answered = await client.ask("tools/list", headers={"mcp-protocol-version": revision})

    assert answered.status == 400
    assert "error" in answered.json


@pytest.mark.parametrize("method", ["no/such", "server/discover", "subscriptions/listen", ""])
async def test_what_this_era_or_this_gateway_does_not_have_is_not_found(method: str) -> None:
    async with doorway(Replica()) as gateway:
        answered = await (await client_of(gateway)).ask(method)

    assert refused(answered) == (200, -32601)


async def test_unknown_names_have_the_codes_of_this_era() -> None:
    async with doorway(Replica()) as gateway:
        client = await client_of(gateway)
        tool = await client.call("none")
        resource = await client.ask("resources/read", {"uri": "file:///none"})
        cursor = await client.ask("tools/list", {"cursor": "x"})

    assert refused(tool) == (200, -32602)
    assert refused(resource) == (200, -32002)
    assert refused(cursor) == (200, -32602)


@pytest.mark.parametrize("era", Era)
async def test_results_have_the_form_of_this_era_whatever_the_server_speaks(era: Era) -> None:
    result = {"x": 1, "_meta": {"k": 2}}
    sent = complete({**result, "ttlMs": 5, "cacheScope": "public"}) if era is Era.MODERN else result
    async with doorway(Replica(behave=lambda exchange: answer(exchange, sent, era))) as gateway:
        answered = await (await client_of(gateway)).call("git__echo")

    assert answered.json["result"] == result


async def test_a_question_of_a_modern_server_is_refused_by_name_and_not_passed_off_as_a_result() -> None:
    asking = Replica(behave=lambda exchange: answer(exchange, {"resultType": "input_required", "inputRequests": {}}))
    async with doorway(asking) as gateway:
        answered = await (await client_of(gateway)).call("git__echo")

    assert answered.json["error"]["data"] == {"reason": "unsupported", "backend": "git"}


async def test_errors_of_a_server_come_with_status_200() -> None:
    error = json.dumps({"code": -32601, "message": "no", "data": [1]}).encode()
    broken = Replica(behave=lambda exchange: exchange.finish(Reply(error, Era.HANDSHAKE, is_error=True)))
    async with doorway(broken) as gateway:
        answered = await (await client_of(gateway)).call("git__echo")

    assert answered.status == 200
    assert answered.json["error"] == {"code": -32601, "message": "no", "data": [1]}


async def test_a_client_that_leaves_does_not_cancel_its_call() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = await client_of(gateway)
        conversation = client.start("tools/call", {"name": "git__echo"})
        await conversation.until(lambda _: bool(replica.running))

        await conversation.leave()
        pinged = client.start("tools/call", {"name": "git__echo"}, request_id=2)
        await pinged.until(lambda _: len(replica.exchanges) == 2)  # frames keep their order, so a CANCEL would be here

    assert replica.cancellations == []
    assert len(replica.running) == 2


async def test_a_cancellation_through_another_ingress_ends_that_sessions_request_and_no_other() -> None:
    replicas = Replica(behave=keep, index=0), Replica(behave=keep, index=1)
    async with house(*replicas) as gateways:
        one, other = gateways.doorway(), gateways.doorway()
        await one.linked(2)
        await other.linked(2)
        alice, bob = await client_of(one), await client_of(one)
        params = {"name": "git__echo", "arguments": {"of": "alice"}}
        alices = [alice.start("tools/call", params, request_id=number) for number in (1, "1", 2)]
        bobs = bob.start("tools/call", {"name": "git__echo", "arguments": {"of": "bob"}}, request_id=1)
        await bobs.until(lambda _: sum(len(replica.running) for replica in replicas) == 4)

        alice.application = other
        noted = await alice.notify("notifications/cancelled", {"requestId": 1, "reason": "changed my mind"})
        cancelled = await alices[0].answered()
        for replica in replicas:
            for exchange in replica.running:
                answer(exchange, complete({"name": exchange.call.name}))
        finished = [await each.answered() for each in (*alices[1:], bobs)]

    assert noted.status == 202
    assert cancelled.json["error"]["data"]["reason"] == "cancelled"
    assert ["result" in each.json for each in finished] == [True, True, True]


@pytest.mark.parametrize("params", [{}, {"requestId": None}, {"requestId": "none"}, {"requestId": {"a": 1}}])
async def test_a_cancellation_of_nothing_is_taken_and_does_nothing(params: dict[str, object]) -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        client = await client_of(gateway)
        conversation = client.start("tools/call", {"name": "git__echo"})
        await conversation.until(lambda _: bool(replica.running))

        noted = await client.notify("notifications/cancelled", params)
        answer(replica.running[0], complete({}))
        answered = await conversation.answered()

    assert noted.status == 202
    assert "result" in answered.json
