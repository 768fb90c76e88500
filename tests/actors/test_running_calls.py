"""What counts as load, what may be parked, and what is taken but once."""

import json
from typing import Any

from actors.bus.attachment import Attachment
from actors.bus.frames import EventKind
from actors.core import jsonrpc
from actors.core.breaker import State
from actors.core.load import Load
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.settings import Isolation
from actors.core.traffic_settings import BreakerSettings
from tests.support.backends import World, backend_to, event_of, outcome_of
from tests.support.bus import until
from tests.support.upstreams import SILENCE, TableServer, always, handshake_server

OK = always({"content": []})
FORM = json.dumps({"message": "?", "requestedSchema": {"type": "object", "properties": {}}}).encode()
ABLE = {"capabilities": b'{"elicitation":{}}'}


def silent() -> TableServer:
    server = handshake_server()
    server.answers["tools/call"] = SILENCE
    return server


def ask(world: World, index: int, request_id: int) -> None:
    """Let a server ask something of whoever it works for."""
    world.transports[index].deliver(jsonrpc.request(request_id, "elicitation/create", FORM))


def answered(world: World, index: int) -> list[Any]:
    """What a server heard in answer to its questions."""
    return [heard for heard in world.servers[index].heard if "method" not in heard]


async def parked_call(world: World, index: int, **fields: Any) -> tuple[Attachment, int]:
    """A call whose server has asked its client; with the number of the question."""
    attachment = world.open(**ABLE, **fields)
    await until(lambda: len(world.servers) > index and "tools/call" in world.servers[index].methods)
    ask(world, index, 99)
    event = await event_of(attachment)
    assert event.kind is EventKind.ASK
    return attachment, event.seq


async def test_a_call_that_waits_for_its_client_is_no_load_until_it_goes_on():
    async with backend_to(silent(), concurrency_limit=1, queue_limit=0) as world:
        parked, number = await parked_call(world, 0, principal="ada")
        loads = [world.backend.load()]
        world.server.answers["tools/call"] = OK
        other = await world.call(principal="bob")
        parked.answer(number, b'{"result":{"action":"decline"}}')
        await until(lambda: bool(answered(world, 0)))
        loads.append(world.backend.load())
        refused = await world.call(principal="bob")
        world.transports[0].deliver(jsonrpc.result_response(b"%d" % world.server.ids_of("tools/call")[0], b"{}"))

        assert isinstance(other, Reply)
        assert refused.kind is FailureKind.BUSY
        assert loads == [Load(0, State.CLOSED), Load(1, State.CLOSED)]
        assert answered(world, 0) == [{"id": 99, "result": {"action": "decline"}}]
        assert isinstance(await outcome_of(parked), Reply)
        assert world.link.load == Load(0, State.CLOSED)


async def test_a_question_that_would_park_one_call_too_many_is_refused_to_the_server():
    async with backend_to(fresh=silent, isolation=Isolation.PRINCIPAL, max_parked=1) as world:
        first, number = await parked_call(world, 1, principal="ada")
        second = world.open(principal="bob", **ABLE)
        await until(lambda: len(world.servers) == 3 and "tools/call" in world.servers[2].methods)
        ask(world, 2, 77)
        await until(lambda: bool(answered(world, 2)))
        refusal = answered(world, 2)[0]
        first.answer(number, b'{"result":{"action":"cancel"}}')
        await until(lambda: bool(answered(world, 1)))

        ask(world, 2, 78)
        event = await event_of(second)

        assert (refusal["id"], "error" in refusal) == (77, True)
        assert event.kind is EventKind.ASK


async def test_nobody_answering_ends_the_call_and_says_nothing_against_the_server():
    breaker = BreakerSettings(failure_threshold=1)

    async with backend_to(silent(), park_seconds=0.02, breaker=breaker) as world:
        parked, _ = await parked_call(world, 0, principal="ada")

        detail = "nobody answered the server's question within 0.02 s"
        assert await outcome_of(parked) == Failure(FailureKind.TIMEOUT, "git", detail)
        assert world.link.load == Load(0, State.CLOSED)


async def test_a_session_that_ends_takes_its_calls_along():
    async with backend_to(silent()) as world:
        mine, others = world.open(session=b"s1"), world.open(session=b"s2")
        await until(lambda: world.server.methods.count("tools/call") == 2)

        world.link.cancel_origin(b"s1")
        outcome = await outcome_of(mine)
        world.transports[0].deliver(jsonrpc.result_response(b"%d" % world.server.ids_of("tools/call")[1], b"{}"))

        assert outcome.kind is FailureKind.CANCELLED
        assert isinstance(await outcome_of(others), Reply)


# --- tickets ---


async def test_a_ticket_is_taken_once_and_its_call_runs_once():
    server = handshake_server()

    async with backend_to(server) as world:
        outcomes = [await world.call(ticket=ticket) for ticket in (b"t1", b"t2", b"t1")]
        without = [await world.call() for _ in range(2)]

    assert [isinstance(outcome, Reply) for outcome in (*outcomes, *without)] == [True, True, False, True, True]
    assert outcomes[2] == Failure(FailureKind.REPLAYED, "git")
    assert server.methods.count("tools/call") == 4


async def test_a_ticket_of_a_call_that_was_refused_is_still_good():
    async with backend_to(silent(), concurrency_limit=1, queue_limit=0) as world:
        held = world.open()
        await until(lambda: "tools/call" in world.server.methods)
        refused = await world.call(ticket=b"t1")
        world.transports[0].deliver(jsonrpc.result_response(b"%d" % world.server.ids_of("tools/call")[0], b"{}"))
        await outcome_of(held)
        world.server.answers["tools/call"] = OK

        assert refused.kind is FailureKind.BUSY
        assert isinstance(await world.call(ticket=b"t1"), Reply)


async def test_a_replayed_ticket_costs_no_probe_of_the_breaker():
    server = handshake_server()
    breaker = BreakerSettings(failure_threshold=1, open_seconds=30.0, probe_limit=1, successes_to_close=1)

    async with backend_to(server, breaker=breaker) as world:
        server.answers["tools/call"] = always([])  # no MCP
        await world.call(ticket=b"t1")
        world.clock.advance(30.0)
        server.answers["tools/call"] = OK

        assert (await world.call(ticket=b"t1")).kind is FailureKind.REPLAYED
        assert isinstance(await world.call(), Reply)
