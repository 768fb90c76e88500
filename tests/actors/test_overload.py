"""More calls than a replica can take: who waits, who is refused, and what becomes of those who wait."""

import asyncio
import json
import time
from collections.abc import Sequence

import pytest

from actors.bus.attachment import Attachment
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.core import jsonrpc
from actors.core.breaker import State
from actors.core.load import Load
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.traffic_settings import BreakerSettings
from tests.support.backends import World, backend_to, event_of, outcome_of
from tests.support.bus import exchange_id, until
from tests.support.recorder import LIMIT
from tests.support.upstreams import SILENCE, TableServer, always, handshake_server, tool_call

OK = always({"content": []})


def silent() -> TableServer:
    server = handshake_server(capabilities={"tools": {}, "resources": {}})
    server.answers["tools/call"] = SILENCE
    server.answers["resources/read"] = SILENCE
    return server


def sent(world: World) -> list[int]:
    """The numbers of the calls that the server has seen, in order."""
    return [params["arguments"]["n"] for params in world.server.params_of("tools/call")]


def open_numbered(world: World, numbers: Sequence[int]) -> list[Attachment]:
    return [world.open(arguments={"n": number}) for number in numbers]


async def are_waiting(world: World, count: int) -> None:
    await until(lambda: world.backend.load().waiting == count)


def answer_latest(world: World) -> None:
    """The server answers the call it was sent last."""
    world.transports[0].deliver(jsonrpc.result_response(b"%d" % world.server.ids_of("tools/call")[-1], b"{}"))


async def test_calls_beyond_the_limit_wait_count_as_load_and_are_sent_in_order():
    async with backend_to(silent(), concurrency_limit=1, queue_limit=2) as world:
        calls = open_numbered(world, [1, 2, 3])
        await are_waiting(world, 2)
        load = world.backend.load()
        seen = []
        for number in (1, 2, 3):
            await until(lambda number=number: number in sent(world))
            seen.append(sent(world))
            answer_latest(world)
        outcomes = [await outcome_of(call) for call in calls]

    assert load == Load(3, State.CLOSED, 0.0, 2)
    assert seen == [[1], [1, 2], [1, 2, 3]]
    assert all(isinstance(outcome, Reply) for outcome in outcomes)


async def test_when_the_line_is_full_too_a_call_is_refused_at_once_and_the_refusal_carries_the_load():
    async with backend_to(silent(), concurrency_limit=1, queue_limit=1) as world:
        open_numbered(world, [1, 2])
        await are_waiting(world, 1)

        refused = await world.call()

        assert refused == Failure(FailureKind.BUSY, "git", retry_after=1.0)
        assert world.link.load == Load(2, State.CLOSED, 0.0, 1)


async def test_who_has_waited_for_long_enough_is_refused_and_was_never_sent():
    async with backend_to(silent(), concurrency_limit=1, queue_seconds=0.02) as world:
        open_numbered(world, [1])
        (late,) = open_numbered(world, [2])
        await are_waiting(world, 1)
        world.clock.advance(2.0)
        outcome = await outcome_of(late)

        assert outcome == Failure(FailureKind.BUSY, "git", retry_after=2.0)
        assert sent(world) == [1]


async def test_the_time_of_a_call_runs_while_it_waits():
    async with backend_to(silent(), concurrency_limit=1) as world:
        first = world.open(arguments={"n": 1})
        late = world.open(arguments={"n": 2}, time_left=3.02)
        await are_waiting(world, 1)
        world.clock.advance(3.0)
        answer_latest(world)
        await outcome_of(first)

        outcome = await outcome_of(late)

        assert outcome == Failure(FailureKind.TIMEOUT, "git", "after 0.02 s")
        assert sent(world) == [1, 2]


async def test_who_is_cancelled_while_it_waits_is_gone_at_once():
    async with backend_to(silent(), concurrency_limit=1) as world:
        open_numbered(world, [1])
        mine = world.open(arguments={"n": 2})
        others = [world.open(arguments={"n": 3}, origin=b"theirs") for _ in range(2)]
        await are_waiting(world, 3)

        mine.cancel("no longer wanted")
        outcome = await outcome_of(mine)
        world.link.cancel_origin(b"theirs")
        kinds = [(await outcome_of(other)).kind for other in others]

        assert outcome == Failure(FailureKind.CANCELLED, "git", "no longer wanted")
        assert kinds == [FailureKind.CANCELLED] * 2
        assert world.backend.load() == Load(1)
        assert "notifications/cancelled" not in world.server.methods


async def test_a_read_is_sent_before_tools_that_waited_for_longer():
    async with backend_to(silent(), concurrency_limit=1, queue_limit=2) as world:
        calls = open_numbered(world, [1, 2, 3])
        await are_waiting(world, 2)
        world.link.open(tool_call(method="resources/read", params=b'{"uri":"x:y"}', name="x:y"), exchange_id(900))
        displaced = await outcome_of(calls[2])
        answer_latest(world)
        await until(lambda: "resources/read" in world.server.methods)

        assert displaced.kind is FailureKind.BUSY
        assert sent(world) == [1]


async def test_nobody_passes_those_who_wait_in_the_moment_when_there_is_room():
    async with backend_to(silent(), concurrency_limit=1) as world:
        world.open(arguments={"n": 1}, origin=b"over soon")
        open_numbered(world, [2])
        await are_waiting(world, 1)
        newcomer = Exchange(
            exchange_id(900),
            tool_call(arguments={"n": 3}),
            backend="git",
            settings=ExchangeSettings(),
            max_data_bytes=1000,
            ended=lambda _: None,
        )

        world.backend.cancelled_origin(b"over soon")
        world.backend.opened(newcomer)
        await until(lambda: len(sent(world)) == 2)

        assert sent(world) == [1, 2]


async def test_a_call_that_waits_for_its_client_makes_room():
    form = json.dumps({"message": "?", "requestedSchema": {"type": "object", "properties": {}}}).encode()

    async with backend_to(silent(), concurrency_limit=1) as world:
        asking = world.open(arguments={"n": 1}, capabilities=b'{"elicitation":{}}')
        open_numbered(world, [2])
        await are_waiting(world, 1)
        world.transports[0].deliver(jsonrpc.request(99, "elicitation/create", form))
        await event_of(asking)

        await until(lambda: sent(world) == [1, 2])

        assert world.backend.load() == Load(1)


async def test_a_ticket_is_taken_once_even_by_calls_that_wait_side_by_side():
    async with backend_to(silent(), concurrency_limit=1) as world:
        open_numbered(world, [1])
        twins = [world.open(arguments={"n": 2}, ticket=b"t1") for _ in range(2)]
        await are_waiting(world, 2)
        world.server.answers["tools/call"] = OK
        answer_latest(world)
        outcomes = [await outcome_of(twin) for twin in twins]

        assert isinstance(outcomes[0], Reply)
        assert outcomes[1] == Failure(FailureKind.REPLAYED, "git")


async def test_the_bus_does_not_refuse_before_the_line_is_full():
    async with backend_to(silent(), concurrency_limit=1, queue_limit=4200, max_parked=1) as world:
        other = await world.dial()
        for number in range(4201):
            (world.link, other)[number % 2].open(tool_call(), exchange_id(10_000 + number))
        await are_waiting(world, 4200)

        refused = await world.call()
        other.close()

    assert refused.kind is FailureKind.BUSY
    assert refused.retry_after is not None


# --- when things go wrong ---


async def test_when_the_server_crashes_those_who_wait_are_told_that_they_were_never_sent():
    async with backend_to(silent(), concurrency_limit=1) as world:
        running, *waiting = open_numbered(world, [1, 2, 3])
        await are_waiting(world, 2)

        world.transports[0].lose("exit code 3")
        outcomes = [await outcome_of(call) for call in (running, *waiting)]

        assert [outcome.kind for outcome in outcomes] == [FailureKind.DISCONNECTED, *[FailureKind.UNAVAILABLE] * 2]
        assert sent(world) == [1]


async def test_when_the_breaker_trips_those_who_wait_are_refused_and_newcomers_do_not_wait():
    breaker = BreakerSettings(failure_threshold=1, open_seconds=30.0)

    async with backend_to(silent(), concurrency_limit=2, breaker=breaker) as world:
        running = open_numbered(world, [1, 2])
        await until(lambda: sent(world) == [1, 2])
        waiting = open_numbered(world, [3, 4])
        await are_waiting(world, 2)

        world.transports[0].deliver(jsonrpc.result_response(b"%d" % world.server.ids_of("tools/call")[0], b"[]"))
        outcomes = [await outcome_of(call) for call in (running[0], *waiting)]

        assert [outcome.kind for outcome in outcomes] == [FailureKind.PROTOCOL, *[FailureKind.BREAKER_OPEN] * 2]
        assert sent(world) == [1, 2]


async def test_a_call_for_which_there_is_no_room_does_not_wait_for_an_open_breaker():
    breaker = BreakerSettings(failure_threshold=100, open_seconds=30.0)

    async with backend_to(silent(), concurrency_limit=1, breaker=breaker) as world:
        open_numbered(world, [1])
        await until(lambda: sent(world) == [1])
        await world.backend.trip()

        assert await world.call() == Failure(FailureKind.BREAKER_OPEN, "git", retry_after=30.0)
        assert world.backend.load().in_flight == 1


async def test_a_stopping_backend_sends_those_who_wait_elsewhere_and_finishes_what_runs():
    async with backend_to(silent(), concurrency_limit=1) as world:
        running, *waiting = open_numbered(world, [1, 2, 3])
        await are_waiting(world, 2)
        stopping = asyncio.ensure_future(world.backend.stop(LIMIT))
        refusals = [await outcome_of(call) for call in waiting]
        is_still_draining = not stopping.done()
        answer_latest(world)
        finished = await outcome_of(running)
        await asyncio.wait_for(stopping, LIMIT)

    assert refusals == [Failure(FailureKind.UNAVAILABLE, "git", "it is stopping")] * 2
    assert is_still_draining
    assert isinstance(finished, Reply)
    assert sent(world) == [1]


async def test_a_second_stop_with_less_time_cuts_the_first_short():
    async with backend_to(silent()) as world:
        running = world.open()
        await until(lambda: "tools/call" in world.server.methods)
        first = asyncio.ensure_future(world.backend.stop(3600.0))
        await asyncio.sleep(0)

        await asyncio.wait_for(world.backend.stop(0.0), LIMIT)

        assert (await outcome_of(running)).kind is FailureKind.DISCONNECTED
        await asyncio.wait_for(first, LIMIT)


# --- by hand ---


async def test_a_breaker_tripped_by_hand_admits_nobody_until_it_is_reset_and_the_router_hears_of_both_at_once():
    async with backend_to(handshake_server(), breaker=BreakerSettings(open_seconds=30.0)) as world:
        await world.backend.trip()
        refused = await world.call()
        by_hand = Load(0, State.OPEN, 30.0, transitions=(0, 0, 0, 0, 1, 0))
        await until(lambda: bool(world.router.beats) and world.router.beats[-1][3] == by_hand)
        await world.backend.reset()
        admitted = await world.call()
        await until(lambda: world.router.beats[-1][3].breaker is State.CLOSED)

    assert refused == Failure(FailureKind.BREAKER_OPEN, "git", retry_after=30.0)
    assert isinstance(admitted, Reply)


async def test_who_waits_when_the_breaker_is_tripped_by_hand_is_refused_and_who_runs_is_not():
    async with backend_to(silent(), concurrency_limit=1, breaker=BreakerSettings(open_seconds=30.0)) as world:
        running, waiting = open_numbered(world, [1, 2])
        await are_waiting(world, 1)

        await world.backend.trip()
        refused = await outcome_of(waiting)
        answer_latest(world)

        assert refused == Failure(FailureKind.BREAKER_OPEN, "git", retry_after=30.0)
        assert isinstance(await outcome_of(running), Reply)


# --- the others ---


@pytest.mark.parametrize("queue_limit", [0, 8])
async def test_a_saturated_backend_does_not_slow_another_in_the_same_process(queue_limit: int):
    patient = handshake_server()

    async with (
        backend_to(silent(), concurrency_limit=2, queue_limit=queue_limit) as saturated,
        backend_to(patient) as other,
    ):
        flood = [saturated.open() for _ in range(500)]
        began = time.monotonic()
        served = [await other.call() for _ in range(100)]
        took = time.monotonic() - began
        refused = [await outcome_of(call) for call in flood[2 + queue_limit :]]

    assert all(isinstance(outcome, Reply) for outcome in served)
    assert took < LIMIT / 2
    assert {outcome.kind for outcome in refused} == {FailureKind.BUSY}
