"""Limits at the door: who is refused, how the client is told, and what does not count."""

import asyncio
from collections.abc import Sequence

from structlog.testing import capture_logs

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.core.incident import Incident, IncidentLabels
from actors.core.limit_settings import By, LimitSettings, QuotaSettings, RateSettings
from actors.core.limits.admission import Admitted
from actors.core.tally import CallLabels
from serve_app.limiting import Limiting
from serve_app.tallying import nowhere
from tests.support.asgi import Conversation
from tests.support.bus import until
from tests.support.hand_clock import HandClock
from tests.support.hand_sleep import HandSleep
from tests.support.house import Doorway, Plan, Replica, answer, complete, doorway, house, keep
from tests.support.limits import caller
from tests.support.posts import LegacyClient, ModernClient
from tests.support.session_router import SessionRouter

CALM = RateSettings(name="calm", calls=2, seconds=10.0)


def plan(*rates: RateSettings, quotas: Sequence[QuotaSettings] = (), ingresses: int = 1) -> Plan:
    return Plan(allowed=LimitSettings(rates=rates, quotas=tuple(quotas)), ingresses=ingresses)


def statuses(answers: Sequence[Conversation]) -> list[int]:
    return [answered.status for answered in answers]


async def calls(gateway: Doorway, times: int, tool: str = "git__echo") -> list[Conversation]:
    return [await ModernClient(gateway).call(tool) for _ in range(times)]


async def test_a_call_is_told_what_is_left_and_one_too_many_when_to_come_back() -> None:
    replica = Replica()
    async with house(replica, plan=plan(CALM)) as built:
        gateway = built.doorway()
        *_, second, refused = await calls(gateway, 3)
        built.clock.advance(float(refused.header("retry-after") or 0))
        (again,) = await calls(gateway, 1)

    assert (second.header("ratelimit-policy"), second.header("ratelimit")) == ('"calm";q=2;w=10', '"calm";r=0;t=10')
    assert (refused.status, refused.header("retry-after")) == (429, "5")
    assert refused.header("ratelimit") == '"calm";r=0;t=5'
    error = refused.json["error"]
    assert error["data"] == {"reason": "rate_limited", "limit": "calm", "retryAfter": 5.0}
    assert (refused.json["id"], error["code"]) == (1, -32603)
    assert (again.status, len(replica.exchanges)) == (200, 3)


async def test_without_limits_nothing_is_said_of_them() -> None:
    async with doorway(Replica()) as gateway:
        (answered,) = await calls(gateway, 1)

    assert not [name for name, _ in answered.headers if name.startswith("ratelimit")]


async def test_a_streamed_answer_says_it_too() -> None:
    def stream(exchange: Exchange) -> None:
        exchange.emit(EventKind.PROGRESS, b'{"progress":1}')
        answer(exchange, complete({}))

    async with doorway(Replica(behave=stream), plan=plan(CALM)) as gateway:
        meta = {"progressToken": 1}
        legacy = LegacyClient(gateway)
        await legacy.initialize()
        answered = await legacy.ask("tools/call", {"name": "git__echo", "arguments": {}, "_meta": meta})

    assert answered.header("content-type") == "text/event-stream"
    assert answered.header("ratelimit") == '"calm";r=0;t=10'


async def test_lists_count_and_pings_notifications_and_answers_do_not() -> None:
    async with doorway(Replica(), plan=plan(RateSettings(name="x", calls=4))) as gateway:
        client = LegacyClient(gateway)
        opened = await client.initialize()
        free = [await client.ask("ping") for _ in range(5)]
        free.append(await client.start("notifications/initialized", request_id=None).answered())
        free.append(await client.answer({"id": 7}, {}))
        counted = [await client.ask(method) for method in ("tools/list", "prompts/list", "logging/setLevel")]
        over = await client.ask("tools/list")

    assert statuses([opened, *free, *counted]) == [200] * 6 + [202, 202] + [200] * 3
    assert [each.header("ratelimit") for each in (opened, counted[0])] == ['"x";r=3;t=15', '"x";r=2;t=30']
    assert (over.status, over.header("retry-after")) == (429, "15")


async def test_a_session_is_refused_when_too_many_requests_come() -> None:
    async with doorway(Replica(), plan=plan(RateSettings(name="x", calls=1))) as gateway:
        await LegacyClient(gateway).initialize()
        refused = await LegacyClient(gateway).initialize()

    assert (refused.status, refused.header("mcp-session-id")) == (429, None)


async def test_modern_requests_that_need_no_backend_count() -> None:
    async with doorway(Replica(), plan=plan(RateSettings(name="x", calls=2))) as gateway:
        client = ModernClient(gateway)
        answers = [await client.ask(method) for method in ("server/discover", "tools/list", "server/discover")]

    assert statuses(answers) == [200, 200, 429]


async def test_what_is_not_there_counts_and_shows_no_limit_of_a_server() -> None:
    of_server = RateSettings(name="server", calls=1, by=(By.SERVER,))
    async with doorway(Replica(), plan=plan(of_server, RateSettings(name="all", calls=3))) as gateway:
        unknown = await calls(gateway, 2, "git__none")
        known = await calls(gateway, 1)
        (over,) = await calls(gateway, 1, "git__none")

    assert statuses([*unknown, *known, over]) == [400, 400, 200, 429]
    assert unknown[1].header("ratelimit") == '"all";r=1;t=40'
    assert over.json["error"]["data"]["limit"] == "all"


async def test_a_limit_of_a_tool_goes_by_the_servers_own_name_at_every_endpoint() -> None:
    rate = RateSettings(name="x", calls=1, by=(By.TOOL,), servers=("git",), tools=("echo",))
    async with doorway(Replica(), Replica("time"), plan=plan(rate)) as gateway:
        await ModernClient(gateway).call("git__echo")
        own = await ModernClient(gateway, "/servers/git/mcp").call("echo")
        other = await ModernClient(gateway).call("time__echo")

    assert statuses([own, other]) == [429, 200]


async def test_every_request_of_a_batch_counts() -> None:
    async with doorway(Replica(), plan=plan(RateSettings(name="x", calls=3))) as gateway:
        client = LegacyClient(gateway, revision="2025-03-26")
        await client.initialize()
        batch = [{"jsonrpc": "2.0", "id": number, "method": "tools/list"} for number in range(4)]
        answered = await client.start_raw(batch).answered()

    refused = [each["error"]["data"]["reason"] for each in answered.json if "error" in each]
    assert (len(answered.json), refused) == (4, ["rate_limited"] * 2)


async def test_what_is_refused_is_counted_by_limit() -> None:
    async with doorway(Replica(), plan=plan(CALM)) as gateway:
        await calls(gateway, 4)
        tally = gateway.tallying.tally

    assert tally.incidents[IncidentLabels(Incident.LIMITED, "git", "calm")] == 2
    assert tally.calls[CallLabels("", "tools/call", "limited")] == 2


# --- quotas ---


async def test_no_more_calls_run_at_once_than_may_and_each_that_ends_makes_room() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica, plan=plan(quotas=[QuotaSettings(calls=2)])) as gateway:
        client = ModernClient(gateway)
        running = [client.start("tools/call", {"name": "git__echo", "arguments": {}}) for _ in range(2)]
        await until(lambda: len(replica.exchanges) == 2)
        refused = await client.call("git__echo")
        listed = await client.ask("tools/list")
        answer(replica.exchanges[0], complete({}))
        await running[0].answered()
        running.append(client.start("tools/call", {"name": "git__echo", "arguments": {}}))
        await until(lambda: len(replica.exchanges) == 3)
        for exchange in replica.running:
            answer(exchange, complete({}))
        ended = [await each.answered() for each in running]

    assert (refused.status, refused.header("retry-after")) == (429, "1")
    assert refused.json["error"]["data"] == {"reason": "quota_calls", "retryAfter": 1.0}
    assert statuses([listed, *ended]) == [200] * 4


async def test_a_call_whose_client_went_away_runs_no_more() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica, plan=plan(quotas=[QuotaSettings(calls=1)])) as gateway:
        client = ModernClient(gateway)
        gone = client.start("tools/call", {"name": "git__echo", "arguments": {}})
        await until(lambda: bool(replica.running))
        await gone.leave()
        again = client.start("tools/call", {"name": "git__echo", "arguments": {}})
        await until(lambda: len(replica.exchanges) == 2)
        answer(replica.exchanges[1], complete({}))
        await again.answered()

    assert again.status == 200


async def test_a_principal_with_as_many_sessions_as_may_be_gets_no_other_and_keeps_those() -> None:
    clock = HandClock()
    router = SessionRouter(clock)
    async with house(Replica(), plan=plan(quotas=[QuotaSettings(sessions=2)])) as built:
        gateway = built.doorway(router)
        clients = [LegacyClient(gateway, path) for path in ("/mcp", "/servers/git/mcp", "/mcp")]
        opened = [await client.initialize() for client in clients]
        kept = await clients[0].ask("ping")

    assert statuses([*opened, kept]) == [200, 200, 429, 200]
    assert opened[2].json["error"]["data"] == {"reason": "quota_sessions"}
    assert opened[2].header("mcp-session-id") is None


# --- several ingress replicas ---


async def test_two_ingresses_give_together_what_one_may() -> None:
    router = SessionRouter(HandClock())
    async with house(Replica(), plan=plan(RateSettings(name="x", calls=10), ingresses=2)) as built:
        doorways = [built.doorway(router), built.doorway(router)]
        first = [await calls(each, 10) for each in doorways]
        for _ in range(2):
            for each in doorways:
                await each.assembly.door.limiting.exchange()
        rest = [await calls(each, 10) for each in doorways]

    assert [statuses(each).count(200) for each in first] == [5, 5]
    assert [statuses(each).count(200) for each in rest] == [0, 0]


async def test_one_that_is_asked_alone_gets_what_the_other_has_no_use_for() -> None:
    router = SessionRouter(HandClock())
    async with house(Replica(), plan=plan(RateSettings(name="x", calls=10), ingresses=2)) as built:
        gateway, _ = built.doorway(router), built.doorway(router)
        before = await calls(gateway, 10)
        for _ in range(2):
            await gateway.assembly.door.limiting.exchange()
            before += await calls(gateway, 10)

    assert statuses(before).count(200) == 10


async def test_while_the_router_is_away_nothing_waits_for_it_and_it_is_said_once() -> None:
    router = SessionRouter(HandClock())
    async with house(Replica(), plan=plan(RateSettings(name="x", calls=10), ingresses=2)) as built:
        gateway = built.doorway(router)
        router.away = True
        with capture_logs() as logs:
            for _ in range(3):
                await calls(gateway, 3)
                await gateway.assembly.door.limiting.exchange()
            router.away = False
            await calls(gateway, 1)
            await gateway.assembly.door.limiting.exchange()

    events = [line["event"] for line in logs if line["event"].startswith("limits_")]
    assert events == ["limits_not_shared", "limits_shared"]


async def test_one_ingress_alone_shares_nothing() -> None:
    sleep = HandSleep(HandClock())
    limiting = Limiting(LimitSettings(rates=(CALM,)), SessionRouter(HandClock()).find, nowhere)

    await asyncio.wait_for(limiting.run(sleep), 5)

    assert sleep.taken == []


async def test_several_tell_the_router_as_long_as_they_live() -> None:
    clock = HandClock()
    router, sleep = SessionRouter(clock), HandSleep(clock)
    settings = LimitSettings(rates=(CALM,), quotas=(QuotaSettings(calls=4),))
    limiting = Limiting(settings, router.find, nowhere, source="one", replicas=2, clock=clock)
    limiting.admit(caller())
    limiting.enter(caller().principal)
    running = asyncio.create_task(limiting.run(sleep))

    await until(lambda: bool(sleep.asleep))
    sleep.wake()
    await until(lambda: router.calls == ["share"])
    running.cancel()

    assert len(router.shares._shares) == len(router.shares._holds) == 1


async def test_other_settings_are_in_force_at_once_and_calls_that_run_still_end_well() -> None:
    clock = HandClock()
    quota = LimitSettings(quotas=(QuotaSettings(calls=1),))
    limiting = Limiting(quota, SessionRouter(clock).find, nowhere, clock=clock)
    ann = caller()
    limiting.enter(ann.principal)

    limiting.go_by(LimitSettings(rates=(RateSettings(name="one", calls=1),), quotas=(QuotaSettings(calls=2),)))
    limiting.leave(ann.principal)

    assert [isinstance(limiting.admit(ann), Admitted) for _ in range(2)] == [True, False]
    assert [limiting.enter(ann.principal) is None for _ in range(3)] == [True, True, False]


async def test_a_call_that_began_without_a_quota_ends_well_under_one() -> None:
    clock = HandClock()
    limiting = Limiting(LimitSettings(), SessionRouter(clock).find, nowhere, clock=clock)
    limiting.enter(caller().principal)

    limiting.go_by(LimitSettings(quotas=(QuotaSettings(calls=1),)))
    limiting.leave(caller().principal)

    assert limiting.enter(caller().principal) is None
