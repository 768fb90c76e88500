"""Quotas of what stays open: who gets one stream or WebSocket more, what the others are told, and what makes room."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from actors.core.audit_settings import AuditSettings
from actors.core.limit_settings import LimitSettings, QuotaSettings
from actors.core.limits.admission import Reason
from actors.core.limits.hold_count import MAX_HOLDS, HoldCount
from actors.core.principal import Kind, Principal, Refusal, Verdict
from serve_app.limiting import Limiting
from serve_app.tallying import nowhere
from tests.support.asgi import Conversation, start
from tests.support.audit import WriterDouble, recording
from tests.support.channel_clients import WsWire
from tests.support.hand_clock import HandClock
from tests.support.house import Doorway, Plan, Replica, doorway
from tests.support.limits import caller
from tests.support.posts import LegacyClient, ModernClient
from tests.support.session_router import SessionRouter

ADA, EVE = ("authorization", "Bearer ada"), ("authorization", "Bearer eve")
STREAM = ("accept", "text/event-stream")


class Door:
    """Knows its people, until they are revoked."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()

    async def verify(self, credential: str) -> Verdict:
        if credential in self.revoked:
            return Verdict(None, Refusal.INVALID, 60.0)
        return Verdict(Principal(credential, "", Kind.KEY), None, 60.0)


def plan(*quotas: QuotaSettings, door: Door | None = None, **more: Any) -> Plan:
    return Plan(allowed=LimitSettings(quotas=quotas), verify=(door or Door()).verify, **more)


async def get(gateway: Doorway, who: tuple[str, str] = ADA) -> Conversation:
    """The stream of a new session, which has begun or was refused."""
    client = LegacyClient(gateway, headers=[who])
    await client.initialize()
    stream = client.start_raw({}, {"accept": "text/event-stream"}, verb="GET")
    await stream.until(lambda each: bool(each.body))
    return stream


async def sse(gateway: Doorway, who: tuple[str, str] = ADA) -> Conversation:
    stream = start(gateway, "GET", "/sse", [who, STREAM])
    await stream.until(lambda each: bool(each.body))
    return stream


async def listen(gateway: Doorway, who: tuple[str, str] = ADA) -> Conversation:
    stream = ModernClient(gateway, headers=[who]).start("subscriptions/listen", {"notifications": {}})
    await stream.until(lambda each: bool(each.body))
    return stream


Opens = Callable[..., Awaitable[Conversation]]
WAYS = pytest.mark.parametrize("opens", [get, sse, listen])


@WAYS
async def test_one_stream_too_many_is_refused_and_one_that_its_client_leaves_makes_room(opens: Opens) -> None:
    async with doorway(Replica(), plan=plan(QuotaSettings(streams=2))) as gateway:
        first, second = await opens(gateway), await opens(gateway)
        refused = await (await opens(gateway)).answered()
        of_eve = await opens(gateway, EVE)
        await first.leave()
        again = await opens(gateway)
        for stream in (second, of_eve, again):
            await stream.leave()

    assert [each.status for each in (first, second, of_eve, again)] == [200] * 4
    assert (refused.status, refused.header("retry-after")) == (429, "5")
    assert refused.json["error"]["data"] == {"reason": "quota_streams", "retryAfter": 5.0}
    assert refused.json["error"]["message"] == "as many streams as may be are open; close one, or try again in 5 s"


async def test_streams_of_all_kinds_are_counted_together_and_calls_and_websockets_are_not_among_them() -> None:
    async with doorway(Replica(), plan=plan(QuotaSettings(streams=2))) as gateway:
        streams = [await sse(gateway), await listen(gateway)]
        refused = await (await get(gateway)).answered()
        called = await ModernClient(gateway, headers=[ADA]).call("git__echo")
        wire = WsWire(gateway, headers=[ADA])
        await wire.open()
        for stream in streams:
            await stream.leave()
        await wire.leave()

    assert refused.status == 429
    assert called.status == 200
    assert wire.accepted


async def test_one_websocket_too_many_is_refused_over_http_and_one_that_is_closed_makes_room() -> None:
    async with doorway(Replica(), plan=plan(QuotaSettings(websockets=1))) as gateway:
        wires = [WsWire(gateway, headers=[who]) for who in (ADA, ADA, EVE, ADA)]
        for wire in wires[:3]:
            await wire.open()
        wires[0].disconnect()
        await wires[0].ended()
        await wires[3].open()
        for wire in wires[2:]:
            await wire.leave()

    begin = wires[1].sent[0]
    assert [bool(wire.accepted) for wire in wires] == [True, False, True, True]
    assert (begin["status"], dict(begin["headers"])[b"retry-after"]) == (429, b"5")


@WAYS
async def test_a_stream_whose_credential_is_revoked_ends_and_makes_room(opens: Opens) -> None:
    door = Door()
    async with doorway(Replica(), plan=plan(QuotaSettings(streams=1), door=door, keep_alive=0.02)) as gateway:
        stream = await opens(gateway)

        door.revoked.add("ada")
        gateway.ingress._reception._authentication._admitted.clear()
        await stream.answered()
        door.revoked.clear()
        gateway.ingress._reception._authentication._denied.clear()
        again = await opens(gateway)
        await again.leave()

    assert (stream.status, again.status) == (200, 200)


@pytest.mark.parametrize("opens", [get, listen])
async def test_a_stream_makes_room_when_the_gateway_is_about_to_end(opens: Opens) -> None:
    async with doorway(Replica(), plan=plan(QuotaSettings(streams=1))) as gateway:
        stream = await opens(gateway)

        gateway.outlook.adopt(replace(gateway.outlook.view, version=2, closing=True))
        await stream.answered()

        async with gateway.assembly.door.limiting.hold(Principal("ada", "", Kind.KEY), Reason.STREAMS) as refused:
            assert refused is None


async def test_who_is_over_a_quota_is_remembered() -> None:
    writer = WriterDouble()
    recorder, auditing = recording(writer, AuditSettings())
    async with doorway(Replica(), plan=plan(QuotaSettings(streams=1, websockets=1), recorder=recorder)) as gateway:
        stream, wire = await sse(gateway), WsWire(gateway, headers=[ADA])
        await wire.open()
        await (await sse(gateway)).answered()
        await (await listen(gateway)).answered()
        beyond = WsWire(gateway, headers=[ADA])
        await beyond.open()
        await stream.leave()
        await wire.leave()
    await auditing.drain()

    denied = [each for each in writer.events if b'"denied"' in each]
    assert len(denied) == 3
    assert all(b'"subject":"ada"' in each for each in denied)
    assert [b"quota_streams" in each or b"as many streams" in each for each in denied] == [True, True, False]


# --- the count itself ---

ONE, TWO, THREE = (LimitSettings(quotas=(QuotaSettings(streams=most),)) for most in (1, 2, 3))
PRINCIPAL = caller("ada").principal


def limiting_by(settings: LimitSettings, router: SessionRouter | None = None, name: str = "", of: int = 1) -> Limiting:
    clock = HandClock()
    return Limiting(settings, (router or SessionRouter(clock)).find, nowhere, source=name, replicas=of, clock=clock)


async def opened(limiting: Limiting, streams: AsyncExitStack, wanted: int) -> int:
    """How many of so many streams may be opened; they stay open."""
    entered = [await streams.enter_async_context(limiting.hold(PRINCIPAL, Reason.STREAMS)) for _ in range(wanted)]
    return entered.count(None)


async def test_a_quota_that_is_changed_holds_for_who_has_something_open_already() -> None:
    limiting = limiting_by(ONE)
    async with AsyncExitStack() as streams:
        before = await opened(limiting, streams, 2)
        limiting.go_by(THREE)
        after = await opened(limiting, streams, 3)

    assert (before, after) == (1, 2)


async def test_what_was_open_before_there_was_a_quota_takes_no_place_of_another_when_it_ends() -> None:
    limiting = limiting_by(LimitSettings())
    async with AsyncExitStack() as counted:
        async with AsyncExitStack() as uncounted:
            await opened(limiting, uncounted, 3)
            limiting.go_by(ONE)
            first = await opened(limiting, counted, 1)
        second = await opened(limiting, counted, 1)

    assert (first, second) == (1, 0)


async def test_one_replica_may_use_all_of_a_quota_and_then_another_none_of_it() -> None:
    router = SessionRouter(HandClock())
    one, two = (limiting_by(TWO, router, name, of=2) for name in ("one", "two"))
    async with AsyncExitStack() as streams:
        first = await opened(one, streams, 2)
        for _ in range(3):
            await one.exchange()
            first += await opened(one, streams, 2)
        await one.exchange()
        elsewhere = await opened(two, streams, 2)

    assert (first, elsewhere) == (2, 0)


async def test_what_ends_at_one_replica_is_free_at_another() -> None:
    router = SessionRouter(HandClock())
    one, two = (limiting_by(ONE, router, name, of=2) for name in ("one", "two"))
    async with AsyncExitStack() as streams:
        async with AsyncExitStack() as ending:
            assert await opened(one, ending, 1) == 1
            await one.exchange()
            assert await opened(two, streams, 1) == 0
        for each in (one, two, one, two):
            await each.exchange()
        again = await opened(two, streams, 1)

    assert again == 1


async def test_replicas_that_have_told_nothing_since_never_have_more_than_the_quota_together() -> None:
    router = SessionRouter(HandClock())
    one, two = (limiting_by(THREE, router, name, of=2) for name in ("one", "two"))
    async with AsyncExitStack() as streams:
        first, second = await opened(one, streams, 2), await opened(two, streams, 9)
        more = await opened(one, streams, 1)

    assert (first, second, more) == (2, 1, 0)


async def test_streams_that_are_wanted_at_the_same_time_are_all_opened_if_they_may() -> None:
    router = SessionRouter(HandClock())
    one = limiting_by(THREE, router, "one", of=2)
    async with AsyncExitStack() as streams:
        holds = [one.hold(PRINCIPAL, Reason.STREAMS) for _ in range(5)]
        entered = await asyncio.gather(*map(streams.enter_async_context, holds))

    assert entered.count(None) == 3


async def test_while_the_router_is_away_a_replica_that_asked_before_has_an_equal_part() -> None:
    router = SessionRouter(HandClock())
    limiting = limiting_by(LimitSettings(quotas=(QuotaSettings(streams=4),)), router, of=2)
    async with AsyncExitStack() as streams:
        before = await opened(limiting, streams, 1)
        router.away = True
        await limiting.exchange()
        after = await opened(limiting, streams, 3)

    assert (before, after) == (1, 1)


async def test_without_a_router_a_replica_goes_by_an_equal_part() -> None:
    router = SessionRouter(HandClock())
    router.away = True
    limiting = limiting_by(TWO, router, of=2)
    async with AsyncExitStack() as streams:
        assert await opened(limiting, streams, 2) == 1


async def test_everybody_is_reported_in_turn_however_many_have_something_open() -> None:
    count = HoldCount(2)
    for number in range(MAX_HOLDS + 5):
        count.enter(str(number), 9, 0.0)

    told = [hold.key for _ in range(2) for hold in count.report(0.0)]

    assert set(told) == {str(number) for number in range(MAX_HOLDS + 5)}
