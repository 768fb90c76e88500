"""How clients are told that their user must first let the gateway act for them at a server."""

import json
from dataclasses import replace
from typing import Any

import pytest
from mcp_types.methods import validate_server_result

from actors.bus.exchange import Exchange
from actors.core.outcome import Failure, FailureKind
from actors.core.principal import Kind, Principal, Verdict
from actors.core.tokens.revocations import Revocation, Revocations, Target
from actors.refs.gone import ActorGone
from serve_app.connect.ticket import Ticket, Tickets
from serve_app.downstream.comeback import Comeback
from serve_app.downstream.invited import KEY
from tests.support.bus import SECRET, until
from tests.support.hand_clock import HandClock
from tests.support.hand_sleep import HandSleep
from tests.support.house import Doorway, Plan, Replica, doorway, echo, house
from tests.support.posts import CAPABILITIES_KEY, LegacyClient, ModernClient, modern_meta
from tests.support.session_router import SessionRouter

PERSONAL = Plan(limits={"personal": True})
URLS: dict[str, Any] = {"elicitation": {"url": {}}}
FORMS: dict[str, Any] = {"elicitation": {}}
START = "http://127.0.0.1:8080/connect/git?ticket="


def consent(exchange: Exchange) -> None:
    exchange.finish(Failure(FailureKind.CONSENT, "git"))


class Unconnected:
    """A server that calls only go through to after a while; it notes what it is sent."""

    def __init__(self) -> None:
        self.connected = False
        self.params: list[Any] = []

    def __call__(self, exchange: Exchange) -> None:
        self.params.append(json.loads(exchange.call.params))
        (echo if self.connected else consent)(exchange)


ACCEPTED = {"name": "git__echo", "arguments": {"a": 1}, "inputResponses": {KEY: {"action": "accept"}}}
META = modern_meta(**{CAPABILITIES_KEY: URLS})


class Users:
    """Says whether somebody is connected, and when that is asked."""

    def __init__(self, gateway: Doorway, server: Unconnected) -> None:
        self.connected = False
        self.away = False
        self.asked: list[tuple[str, str]] = []
        self.sleep = HandSleep(HandClock())
        self._server = server
        gateway.assembly.modern._comeback = Comeback(self.has, 15.0, self.sleep)

    async def has(self, principal: str, backend: str) -> bool:
        self.asked.append((principal, backend))
        if self.away:
            raise ActorGone("Backend")
        return self.connected

    def connect(self) -> None:
        self.connected = self._server.connected = True

    async def look(self, times: int = 1) -> None:
        """Let those who wait look once more, so many times."""
        for _ in range(times):
            await until(lambda: bool(self.sleep.asleep))
            await self._look()

    async def _look(self) -> None:
        taken = len(self.sleep.taken)
        self.sleep.wake()
        await until(lambda: not self.sleep.asleep or len(self.sleep.taken) > taken)


def ticket_of(url: str) -> Ticket:
    """The ticket in a URL."""
    assert url.startswith(START)
    ticket = Tickets(SECRET, lambda: 0.0).read(url.removeprefix(START), "git")
    assert ticket is not None
    return ticket


def opened(url: str) -> str:
    """The principal of the ticket in a URL."""
    return ticket_of(url).principal


async def test_a_modern_client_is_asked_to_open_the_page_and_its_retry_is_the_call_from_the_beginning() -> None:
    server = Unconnected()
    meta = modern_meta(**{CAPABILITIES_KEY: URLS})
    async with doorway(Replica(behave=server), plan=PERSONAL) as gateway:
        Users(gateway, server).connected = True
        client = ModernClient(gateway)
        asked = (await client.call("git__echo", {"a": 1}, meta=meta)).json["result"]
        again = (await client.call("git__echo", {"a": 1}, meta=meta)).json["result"]
        server.connected = True
        answers = {KEY: {"action": "accept"}}
        params = {"name": "git__echo", "arguments": {"a": 1}, "inputResponses": answers}
        done = (await client.ask("tools/call", params, meta=meta)).json["result"]

    validate_server_result("tools/call", "2026-07-28", asked)
    assert (asked["resultType"], "requestState" in asked) == ("input_required", False)
    (request,) = asked["inputRequests"].values()
    assert (request["method"], request["params"]["mode"]) == ("elicitation/create", "url")
    assert "'git'" in request["params"]["message"]
    assert opened(request["params"]["url"]) == "anonymous:0::anonymous"
    assert ticket_of(request["params"]["url"]).asked is None
    assert again["inputRequests"][KEY]["params"]["url"] != request["params"]["url"]
    assert done["got"] == {"a": 1}
    assert [each.get("inputResponses") for each in server.params] == [None] * 3


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_user_who_does_not_want_to_is_not_asked_again_at_once(action: str) -> None:
    params = {"name": "git__echo", "arguments": {}, "inputResponses": {KEY: {"action": action}}}
    async with doorway(Replica(behave=consent)) as gateway:
        answered = await ModernClient(gateway).ask("tools/call", params, meta=modern_meta(**{CAPABILITIES_KEY: URLS}))

    assert answered.json["error"]["data"]["reason"] == "consent"
    assert "ticket" not in answered.body.decode()


async def test_a_client_of_2025_11_25_that_opens_urls_gets_the_error_that_asks_for_it() -> None:
    async with doorway(Replica(behave=consent)) as gateway:
        client = LegacyClient(gateway)
        await client.initialize(capabilities=URLS)
        errors = [(await client.call("git__echo")).json["error"] for _ in range(2)]
        read = (await client.ask("resources/read", {"uri": "file:///a"})).json["error"]

    assert [each["code"] for each in (*errors, read)] == [-32042] * 3
    first, second = (each["data"]["elicitations"][0] for each in errors)
    assert (first["mode"], opened(first["url"])) == ("url", "anonymous:0::anonymous")
    assert first["message"]
    assert first["elicitationId"] != second["elicitationId"]
    assert [asked_by(each["url"]) for each in (first, second)] == [first["elicitationId"], second["elicitationId"]]


def asked_by(url: str) -> str:
    """The elicitation that the ticket in a URL belongs to."""
    asked = ticket_of(url).asked
    assert asked is not None
    return asked.id


COMPLETE = "notifications/elicitation/complete"


async def test_who_waits_on_a_stream_at_another_ingress_replica_hears_that_their_user_is_done_and_nobody_else() -> None:
    async with house(Replica(behave=consent)) as built:
        router = SessionRouter(HandClock())
        here, there, elsewhere = (built.doorway(router) for _ in range(3))
        asked, other = LegacyClient(here), LegacyClient(here)
        for client in (asked, other):
            await client.initialize(capabilities=URLS)
        streams = [client.at(there).listen() for client in (asked, other)]
        for stream in streams:
            await stream.until(lambda each: each.streams)
        (told,) = (await asked.call("git__echo")).json["error"]["data"]["elicitations"]
        ticket = ticket_of(told["url"]).asked
        assert ticket is not None

        for number, elicitation in enumerate((ticket.id, ticket.id, "another"), start=1):
            await elsewhere.assembly.sessions.complete(ticket.session, "\0anonymous:0::anonymous", elicitation)
            if number != 2:  # the second says what is known, which is no news
                await there.assembly.sessions.read_news()
        await streams[0].until(lambda each: len(each.events) == 2)
        again = asked.at(there).listen()
        await again.until(lambda each: len(each.events) == 2)
        for stream in (*streams, again):
            await stream.leave()

    said = [
        {"jsonrpc": "2.0", "method": COMPLETE, "params": {"elicitationId": each}}
        for each in (told["elicitationId"], "another")
    ]
    assert [stream.events for stream in (*streams, again)] == [said, [], said]


async def test_a_page_that_is_left_in_a_session_that_has_ended_is_nobodys_concern() -> None:
    async with house(Replica(behave=consent)) as built:
        gateway = built.doorway(SessionRouter(HandClock()))
        client = LegacyClient(gateway)
        await client.initialize(capabilities=URLS)
        (told,) = (await client.call("git__echo")).json["error"]["data"]["elicitations"]
        ticket = ticket_of(told["url"]).asked
        assert ticket is not None
        await client.start_raw(None, verb="DELETE").answered()

        await gateway.assembly.sessions.complete(ticket.session, "\0anonymous:0::anonymous", ticket.id)

        assert gateway.assembly.sessions.known(ticket.session) is None


@pytest.mark.parametrize(
    ("revision", "capabilities"),
    [("2025-11-25", FORMS), ("2025-11-25", {}), ("2025-06-18", URLS), ("2024-11-05", {})],
)
async def test_a_tool_that_an_older_client_calls_says_what_to_open(revision: str, capabilities: dict[str, Any]) -> None:
    async with doorway(Replica(behave=consent)) as gateway:
        client = LegacyClient(gateway, revision=revision)
        await client.initialize(capabilities=capabilities)
        result = (await client.call("git__echo")).json["result"]
        prompt = (await client.ask("prompts/get", {"name": "git__greet"})).json["error"]

    validate_server_result("tools/call", revision, result)
    assert result["isError"] is True
    assert START in result["content"][0]["text"]
    assert prompt["data"] == {"reason": "consent", "backend": "git"}
    assert START in prompt["message"]


async def test_a_modern_client_that_opens_no_urls_is_not_asked_to() -> None:
    async with doorway(Replica(behave=consent)) as gateway:
        client = ModernClient(gateway)
        result = (await client.call("git__echo", meta=modern_meta(**{CAPABILITIES_KEY: FORMS}))).json["result"]
        read = (await client.ask("resources/read", {"uri": "file:///a"})).json["error"]

    validate_server_result("tools/call", "2026-07-28", result)
    assert START in result["content"][0]["text"]
    assert START in read["message"]


@pytest.mark.parametrize("plan", [PERSONAL, Plan()])
async def test_what_a_server_asked_itself_is_answered_to_it_and_what_the_gateway_asked_is_not(plan: Plan) -> None:
    server = Unconnected()
    server.connected = True
    theirs = {"connect": {"action": "accept"}, "x": {"odd": [1]}}
    sent = {**theirs, KEY: {"action": "decline"}} if plan is PERSONAL else theirs
    params = {"name": "git__echo", "arguments": {"a": 2}, "inputResponses": sent}
    async with doorway(Replica(behave=server), plan=plan) as gateway:
        answered = await ModernClient(gateway).ask("tools/call", params)

    assert answered.json["result"]["got"] == {"a": 2}
    assert server.params == [{"name": "echo", "arguments": {"a": 2}, "inputResponses": theirs}]


async def test_answers_to_a_task_do_not_come_from_the_page() -> None:
    server = Unconnected()
    async with doorway(Replica(behave=server), plan=PERSONAL) as gateway:
        users = Users(gateway, server)
        update = {"taskId": "of nobody", "inputResponses": ACCEPTED["inputResponses"]}
        meta = modern_meta(**{CAPABILITIES_KEY: {"extensions": {"io.modelcontextprotocol/tasks": {}}}})
        answered = await ModernClient(gateway).ask("tasks/update", update, meta=meta)

    assert answered.json["error"]["code"] == -32602
    assert users.asked == []


@pytest.mark.parametrize("odd", [7, "x", [], {KEY: 7}])
async def test_answers_of_no_form_are_a_servers_business(odd: Any) -> None:
    server = Unconnected()
    server.connected = True
    params = {"name": "git__echo", "arguments": {"a": 2}, "inputResponses": odd}
    async with doorway(Replica(behave=server), plan=PERSONAL) as gateway:
        answered = await ModernClient(gateway).ask("tools/call", params)

    assert answered.json["result"]["got"] == {"a": 2}
    rest = {} if isinstance(odd, dict) else {"inputResponses": odd}
    assert server.params == [{"name": "echo", "arguments": {"a": 2}, **rest}]


async def test_a_call_waits_while_its_user_is_at_the_page_and_goes_on_when_they_are_done() -> None:
    server = Unconnected()
    async with doorway(Replica(behave=server), plan=PERSONAL) as gateway:
        users = Users(gateway, server)
        waiting = ModernClient(gateway).start("tools/call", ACCEPTED, meta=META)
        await users.look(20)
        users.away = True
        await users.look()
        users.away = False
        users.connect()
        await users.look()
        answered = await waiting.answered()

    assert answered.events[-1]["result"]["got"] == {"a": 1}
    assert answered.body.startswith(b":")
    assert set(users.asked) == {("anonymous:0::anonymous", "git")}
    assert len(server.params) == 1


async def test_a_user_who_takes_too_long_is_asked_again() -> None:
    server = Unconnected()
    plan = replace(PERSONAL, limits={**PERSONAL.limits, "park_seconds": 3.0})
    async with doorway(Replica(behave=server), plan=plan) as gateway:
        users = Users(gateway, server)
        waiting = ModernClient(gateway).start("tools/call", ACCEPTED, meta=META)
        await users.look(3)
        answered = await waiting.answered()

    assert answered.json["result"]["resultType"] == "input_required"
    assert len(users.asked) == 3


async def test_only_a_few_calls_of_one_principal_wait() -> None:
    server = Unconnected()
    async with doorway(Replica(behave=server), plan=PERSONAL) as gateway:
        users = Users(gateway, server)
        started = [ModernClient(gateway).start("tools/call", ACCEPTED, meta=META) for _ in range(5)]
        await until(lambda: any(each.whole for each in started))
        asked = [each for each in started if each.whole]
        users.connect()
        await users.look()
        done = [await each.answered() for each in started if each not in asked]

    assert [each.json["result"]["resultType"] for each in asked] == ["input_required"]
    assert [each.json["result"]["got"] for each in done] == [{"a": 1}] * 4


async def test_a_call_whose_client_leaves_waits_no_more() -> None:
    server = Unconnected()
    async with doorway(Replica(behave=server), plan=PERSONAL) as gateway:
        users = Users(gateway, server)
        waiting = ModernClient(gateway).start("tools/call", ACCEPTED, meta=META)
        await until(lambda: bool(users.sleep.asleep))
        await waiting.leave()

        assert users.sleep.asleep == []
        assert gateway.assembly.modern._comeback is not None
        assert gateway.assembly.modern._comeback._waiting.total() == 0
    assert server.params == []


async def test_who_is_not_welcome_any_more_when_the_user_is_done_calls_nothing() -> None:
    server = Unconnected()
    good = Verdict(Principal("ann", "https://id", Kind.TOKEN, token_id="t"), None, 60.0)

    async def verify(_: str) -> Verdict:
        return good

    async with doorway(Replica(behave=server), plan=replace(PERSONAL, verify=verify)) as gateway:
        users = Users(gateway, server)
        client = ModernClient(gateway, headers=[("authorization", "Bearer x")])
        waiting = client.start("tools/call", ACCEPTED, meta=META)
        await until(lambda: bool(users.sleep.asleep))
        revoked = Revocations("m", (Revocation(Target.SUBJECT, "ann"),))
        gateway.ingress._reception._authentication.revoke(revoked)
        users.connect()
        await users.look()
        answered = await waiting.answered()

    assert answered.json["error"]["code"] == -32600
    assert server.params == []
