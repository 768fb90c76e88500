"""A Backend end to end: calls come over a real link, go to a server in memory, and each gets its own answer."""

import asyncio
import json
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from actors.bus import frames
from actors.bus.dialer import CallerLink
from actors.core import jsonrpc
from actors.core.breaker import State
from actors.core.jsonrpc import Message
from actors.core.load import Load
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from actors.core.traffic_settings import BreakerSettings
from tests.support.backends import KEY, World, backend_to, outcome_of
from tests.support.bus import exchange_id, until
from tests.support.bus_peers import bare_caller
from tests.support.recorder import LIMIT
from tests.support.upstreams import (
    SILENCE,
    TableServer,
    always,
    handshake_server,
    modern_server,
    refuse,
    tool,
    tool_call,
)

OK = always({"content": []})
BROKEN = always([])
"""An answer that is not MCP."""


@pytest.mark.parametrize(("server", "era"), [(handshake_server(), Era.HANDSHAKE), (modern_server(), Era.MODERN)])
async def test_a_call_comes_back_from_a_server_of_either_era_as_the_server_said_it(server: TableServer, era: Era):
    result = {"content": [], "structuredContent": {"a": [1, None]}, "_meta": {"x/y": 1}, "x-future": True}
    server.answers["tools/call"] = always(result)

    async with backend_to(server) as world:
        outcome = await world.call(meta=b'{"traceparent":"00"}')

        assert outcome == Reply(json.dumps(result).encode(), era)
        assert world.link.load == Load(0, State.CLOSED)
        assert server.params_of("tools/call")[0]["_meta"]["traceparent"] == "00"


class ShufflingServer:
    """Answers calls only when all have come, and then in another order."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._random = random.Random(seed)
        self._others = handshake_server()
        self._held: list[bytes] = []

    def __call__(self, message: Message) -> Iterable[bytes]:
        if message.method != "tools/call":
            return self._others(message)
        number = json.loads(bytes(message.params))["arguments"]["n"]
        self._held.append(jsonrpc.result_response(message.id, b'{"n":%d}' % number))
        if len(self._held) < self._size:
            return ()
        self._random.shuffle(self._held)
        return self._held


@pytest.mark.parametrize("seed", range(3))
async def test_two_hundred_calls_answered_out_of_order_each_get_their_own_answer(seed: int):
    async with backend_to(ShufflingServer(200, seed)) as world:
        other = await world.dial()
        links = [world.link, other]
        attachments = [
            links[number % 2].open(tool_call(arguments={"n": number}), exchange_id(number)) for number in range(200)
        ]
        outcomes = [await outcome_of(attachment) for attachment in attachments]
        other.close()

    assert [json.loads(outcome.body)["n"] for outcome in outcomes] == list(range(200))


async def test_progress_reaches_the_caller_before_the_outcome():
    async with backend_to(handshake_server()) as world:
        server = world.server
        server.answers["tools/call"] = SILENCE
        attachment = world.open(wants_progress=True)
        await until(lambda: bool(server.ids_of("tools/call")))
        (number,) = server.ids_of("tools/call")

        world.transports[0].deliver(
            jsonrpc.notification("notifications/progress", b'{"progressToken":%d,"progress":0.5}' % number)
        )
        world.transports[0].deliver(jsonrpc.result_response(b"%d" % number, b"{}"))
        event = await attachment.next()

        assert json.loads(event.data) == {"progressToken": number, "progress": 0.5}
        assert isinstance(await outcome_of(attachment), Reply)


# --- the rungs ---


async def test_while_the_server_is_down_a_call_is_refused_at_once_with_name_reason_and_time():
    async with backend_to("no such command") as world:
        outcome = await world.call()

    assert outcome == Failure(FailureKind.UNAVAILABLE, "git", "no such command; attempt 2 follows in 0.25 s", 0.25)


async def test_while_the_server_starts_a_call_is_refused_at_once():
    async with backend_to(TableServer({"server/discover": SILENCE}), begin=False) as world:
        beginning = asyncio.ensure_future(world.backend.begin())
        await until(lambda: bool(world.transports))
        world.link = await world.dial()

        outcome = await world.call()
        beginning.cancel()
        world.link.close()

    assert outcome == Failure(FailureKind.UNAVAILABLE, "git", "starting")


async def test_without_a_queue_a_call_beyond_the_limit_is_refused_at_once_and_room_is_used_again():
    server = handshake_server()
    server.answers["tools/call"] = SILENCE

    async with backend_to(server, concurrency_limit=2, queue_limit=0) as world:
        held = [world.open(), world.open()]
        refused = await world.call()
        load = world.link.load
        world.transports[0].deliver(jsonrpc.result_response(b"%d" % server.ids_of("tools/call")[0], b"{}"))
        await outcome_of(held[0])
        server.answers["tools/call"] = OK
        admitted = await world.call()

    assert refused == Failure(FailureKind.BUSY, "git", retry_after=1.0)
    assert load == Load(2, State.CLOSED)
    assert isinstance(admitted, Reply)


async def test_a_server_that_keeps_failing_is_left_alone_until_probes_have_succeeded():
    server = handshake_server()
    server.answers["tools/call"] = BROKEN
    breaker = BreakerSettings(failure_threshold=3, open_seconds=30.0, probe_limit=1, successes_to_close=1)

    async with backend_to(server, breaker=breaker) as world:
        failures = [await world.call() for _ in range(3)]
        load = world.link.load
        world.clock.advance(10.0)
        refused = await world.call()
        asked = server.methods.count("tools/call")
        world.clock.advance(20.0)
        server.answers["tools/call"] = OK
        probe = await world.call()

        assert [failure.kind for failure in failures] == [FailureKind.PROTOCOL] * 3
        assert load == Load(0, State.OPEN, retry_after=30.0, transitions=(1, 0, 0, 0, 0, 0))
        assert refused == Failure(FailureKind.BREAKER_OPEN, "git", retry_after=20.0)
        assert asked == 3
        assert isinstance(probe, Reply)
        assert world.link.load == Load(0, State.CLOSED, transitions=(1, 1, 1, 0, 0, 0))


async def test_errors_that_a_server_answers_never_trip_the_breaker():
    server = handshake_server()
    server.answers["tools/call"] = refuse(jsonrpc.INVALID_PARAMS, "unknown tool")

    async with backend_to(server, breaker=BreakerSettings(failure_threshold=2)) as world:
        outcomes = [await world.call() for _ in range(10)]

        assert all(isinstance(outcome, Reply) and outcome.is_error for outcome in outcomes)
        assert world.link.load == Load(0, State.CLOSED)


# --- giving up ---


@pytest.mark.parametrize(("timeout", "time_left"), [(0.02, 60.0), (60.0, 0.02)])
async def test_a_call_ends_when_the_backend_or_the_caller_has_waited_enough(timeout: float, time_left: float):
    server = handshake_server()
    server.answers["tools/call"] = SILENCE

    async with backend_to(server, timeout=timeout) as world:
        outcome = await world.call(time_left=time_left)

        assert outcome == Failure(FailureKind.TIMEOUT, "git", "after 0.02 s")
        assert server.params_of("notifications/cancelled")[0]["requestId"] == server.ids_of("tools/call")[0]
        assert world.link.load == Load(0, State.CLOSED)


async def test_a_cancelled_call_is_told_to_the_server_and_frees_its_room():
    server = handshake_server()
    server.answers["tools/call"] = SILENCE

    async with backend_to(server) as world:
        attachment = world.open()
        await until(lambda: "tools/call" in server.methods)
        attachment.cancel("no longer wanted")

        assert await outcome_of(attachment) == Failure(FailureKind.CANCELLED, "git", "no longer wanted")
        assert server.params_of("notifications/cancelled")[0]["reason"] == "no longer wanted"
        assert world.link.load == Load(0, State.CLOSED)


async def test_a_cancelled_request_ends_all_its_calls_and_nobody_elses():
    server = handshake_server()
    server.answers["tools/call"] = SILENCE

    async with backend_to(server) as world:
        mine = [world.open(origin=b"mine") for _ in range(2)]
        others = [world.open(origin=b"theirs"), world.open()]
        await until(lambda: server.methods.count("tools/call") == 4)
        link = await world.dial()
        link.cancel_origin(b"mine")
        outcomes = [await outcome_of(attachment) for attachment in mine]
        link.close()

        assert [outcome.kind for outcome in outcomes] == [FailureKind.CANCELLED] * 2
        assert world.backend.load().in_flight == 2
        cancelled = [params["requestId"] for params in server.params_of("notifications/cancelled")]
        assert cancelled == server.ids_of("tools/call")[:2]
        assert len(others) == 2


async def test_a_broken_link_disturbs_no_call_and_its_answer_is_read_over_another():
    server = handshake_server()
    server.answers["tools/call"] = SILENCE

    async with backend_to(server) as world:
        world.link.open(tool_call(), exchange_id(77))
        await until(lambda: "tools/call" in server.methods)
        world.link.close()
        link = await world.dial()
        attachment = link.attach(exchange_id(77), after=0)
        world.transports[0].deliver(jsonrpc.result_response(b"%d" % server.ids_of("tools/call")[0], b'{"n":1}'))
        outcome = await outcome_of(attachment)
        link.close()

    assert outcome == Reply(b'{"n":1}', Era.HANDSHAKE)
    assert server.methods.count("tools/call") == 1


async def test_a_call_opened_twice_runs_once():
    server = handshake_server()
    server.answers["tools/call"] = OK

    async with backend_to(server) as world:
        first = await outcome_of(world.link.open(tool_call(), exchange_id(5)))
        second = await outcome_of(world.link.open(tool_call(), exchange_id(5)))

    assert first == second == Reply(b'{"content": []}', Era.HANDSHAKE)
    assert server.methods.count("tools/call") == 1


async def test_a_server_that_crashes_fails_its_calls_by_name_and_comes_back():
    server = handshake_server()
    server.answers["tools/call"] = SILENCE

    async with backend_to(server) as world:
        attachment = world.open()
        await until(lambda: "tools/call" in server.methods)
        world.transports[0].lose("exit code 3")
        outcome = await outcome_of(attachment)
        meanwhile = await world.call()
        server.answers["tools/call"] = OK
        await until(lambda: world.backend.status().state is ReplicaState.UP)

        assert outcome == Failure(FailureKind.DISCONNECTED, "git", "exit code 3")
        assert meanwhile == Failure(FailureKind.UNAVAILABLE, "git", "exit code 3; attempt 2 follows in 0.25 s", 0.25)
        assert isinstance(await world.call(), Reply)
        assert server.methods.count("tools/call") == 2


async def test_calls_that_a_crash_took_along_do_not_keep_the_next_server_from_work():
    server = handshake_server()
    server.answers["tools/call"] = SILENCE
    breaker = BreakerSettings(failure_threshold=3, open_seconds=30.0)

    async with backend_to(server, breaker=breaker) as world:
        attachments = [world.open() for _ in range(3)]
        await until(lambda: server.methods.count("tools/call") == 3)
        world.transports[0].lose("exit code 3")
        for attachment in attachments:
            await outcome_of(attachment)
        tripped = world.backend.load().breaker
        server.answers["tools/call"] = OK
        await until(lambda: world.backend.status().state is ReplicaState.DOWN)
        await until(lambda: world.backend.status().state is ReplicaState.UP)

        assert tripped is State.OPEN
        assert isinstance(await world.call(), Reply)


# --- the end ---


async def test_a_draining_backend_finishes_what_runs_and_takes_nothing_new():
    server = handshake_server()
    server.answers["tools/call"] = SILENCE

    async with backend_to(server) as world:
        running = world.open()
        await until(lambda: "tools/call" in server.methods)
        stopping = asyncio.ensure_future(world.backend.stop(LIMIT))
        await asyncio.sleep(0)
        refused = await world.call()
        status = world.backend.status()
        world.transports[0].deliver(jsonrpc.result_response(b"%d" % server.ids_of("tools/call")[0], b"{}"))
        finished = await outcome_of(running)
        await asyncio.wait_for(stopping, LIMIT)

    assert refused == Failure(FailureKind.UNAVAILABLE, "git", "it is stopping")
    assert (status.state, status.detail) == (ReplicaState.DRAINING, "stopping")
    assert finished == Reply(b"{}", Era.HANDSHAKE)


async def test_draining_has_a_limit_and_what_still_runs_is_told_so():
    server = handshake_server()
    server.answers["tools/call"] = SILENCE

    async with backend_to(server) as world:
        running = world.open()
        await until(lambda: "tools/call" in server.methods)

        await asyncio.wait_for(world.backend.stop(0.01), LIMIT)

        outcome = await outcome_of(running)
        assert (outcome.kind, outcome.backend) == (FailureKind.DISCONNECTED, "git")


async def test_an_idle_backend_stops_without_waiting():
    async with backend_to(handshake_server()) as world:
        await asyncio.wait_for(world.backend.stop(3600.0), LIMIT)

        assert world.link.closed or await closed(world.link)


async def test_a_call_that_is_under_way_when_a_backend_stops_finds_it_there_and_is_refused():
    async with backend_to(handshake_server()) as world:
        late = await bare_caller(world.backend.status().address)
        stopping = asyncio.ensure_future(world.backend.stop(LIMIT))
        await until(lambda: world.transports[0].is_closed)
        late.link.send(frames.Open(1, exchange_id(1), tool_call()))
        await until(lambda: len(late.heard) == 2)

        assert not stopping.done()
        late.link.send(frames.Leaving())
        late.link.send(frames.Detach(1))
        await asyncio.wait_for(stopping, LIMIT)

    refused = Failure(FailureKind.UNAVAILABLE, "git", "it is stopping")
    assert late.heard == [frames.Leaving(), frames.OutcomeFrame(1, refused, Load(0))]


async def closed(link: CallerLink) -> bool:
    await until(lambda: link.closed)
    return True


# --- the control plane ---


async def test_the_first_status_says_where_it_is_and_what_it_has():
    async with backend_to(handshake_server(tool("a"))) as world:
        status = await world.backend.begin()

        assert (status.key, status.epoch, status.node) == (KEY, "e1", "n1")
        assert status.address.startswith("unix:")
        assert status.remote_address.startswith("tcp:127.0.0.1:")
        assert not status.remote_address.endswith(":0")
        assert (status.state, status.detail, status.restarts) == (ReplicaState.UP, "", 0)
        assert [item.identity for item in status.listing.tools] == ["a"]
        assert status.facts.era is Era.HANDSHAKE


async def test_beginning_again_waits_for_the_same_start():
    async with backend_to(handshake_server(), begin=False) as world:
        first, second = await asyncio.gather(world.backend.begin(), world.backend.begin())

        assert first == second
        assert len(world.transports) == 1


async def test_a_begin_that_found_its_address_taken_may_be_repeated(tmp_path: Path):
    missing = tmp_path / "not yet there"
    world = World(handshake_server(), f"unix:{missing / 's'}")
    with pytest.raises(OSError, match="No such file"):
        await world.backend.begin()
    missing.mkdir()

    status = await asyncio.wait_for(world.backend.begin(), LIMIT)

    assert status.state is ReplicaState.UP
    await world.backend.stop(0.0)


async def test_a_stop_during_the_start_lets_nobody_wait_for_it():
    async with backend_to(TableServer({"server/discover": SILENCE}), begin=False) as world:
        beginning = asyncio.ensure_future(world.backend.begin())
        await until(lambda: bool(world.transports))

        await world.backend.stop(0.0)

        assert (await asyncio.wait_for(beginning, LIMIT)).state is ReplicaState.DOWN


async def test_the_router_is_told_of_every_change_in_order_and_of_life_in_between():
    server = handshake_server(tool("a"))
    async with backend_to(server, beat_seconds=0.02) as world:
        await until(lambda: len(world.router.beats) >= 2)
        world.transports[0].lose("exit code 3")
        await until(lambda: world.router.statuses[-1].restarts == 1)

        states = [(status.state, status.detail) for status in world.router.statuses]
        sequences = [status.sequence for status in world.router.statuses]

    assert states[-3:] == [
        (ReplicaState.UP, ""),
        (ReplicaState.DOWN, "exit code 3; attempt 2 follows in 0.25 s"),
        (ReplicaState.UP, ""),
    ]
    assert sequences == sorted(set(sequences))
    assert (KEY, "e1", sequences[-3], Load()) in world.router.beats


async def test_a_router_that_does_not_know_it_is_told_everything_again():
    async with backend_to(handshake_server(tool("a")), beat_seconds=0.02) as world:
        await until(lambda: bool(world.router.beats))
        world.router.statuses.clear()

        world.router.knows = False
        await until(lambda: bool(world.router.statuses))

        assert [item.identity for item in world.router.statuses[0].listing.tools] == ["a"]


async def test_a_router_that_was_gone_is_told_what_it_missed_and_calls_go_on_meanwhile():
    server = handshake_server(tool("a"))
    server.answers["tools/call"] = OK
    async with backend_to(server, beat_seconds=0.02) as world:
        await until(lambda: bool(world.router.beats))
        world.router.gone = True
        server.answers["tools/list"] = always({"tools": [tool("b")]})
        world.transports[0].deliver(jsonrpc.notification("notifications/tools/list_changed"))
        await until(lambda: world.backend.status().listing.tools[0].identity == "b")

        meanwhile = await world.call()
        world.router.gone = False
        await until(lambda: world.router.statuses[-1].listing.tools[0].identity == "b")

        assert isinstance(meanwhile, Reply)


def test_an_unfinished_backend_has_a_name_for_the_dashboard(tmp_path: Path):
    world = World(handshake_server(), f"unix:{tmp_path / 's'}")

    assert repr(world.backend) == "Backend:git:0"
