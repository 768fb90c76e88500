"""With `isolation`, everyone's calls go through a conversation of their own: opened when needed, closed when not."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from actors.bus.attachment import Attachment
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.core import jsonrpc
from actors.core.breaker import State
from actors.core.endpoints import HttpEndpoint
from actors.core.load import Load
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from actors.core.settings import Isolation
from actors.core.traffic_settings import BreakerSettings
from tests.support.backends import World, backend_to, event_of, outcome_of
from tests.support.bus import UNHURRIED, exchange_id, until
from tests.support.upstreams import SILENCE, TableServer, handshake_server, modern_server, refuse, ticks, tool_call

PRINCIPAL, SESSION = Isolation.PRINCIPAL, Isolation.SESSION
QUESTION = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}


def silent() -> TableServer:
    """A server that answers no calls by itself."""
    server = handshake_server()
    server.answers["tools/call"] = SILENCE
    return server


def in_turn(*starts: Callable[[], TableServer]) -> Callable[[], TableServer]:
    """Gives a server of each kind, and then of the last kind only."""
    remaining = list(starts)
    return lambda: (remaining.pop(0) if len(remaining) > 1 else remaining[0])()


def silent_start() -> TableServer:
    """A server that does not answer `initialize` by itself."""
    server = handshake_server()
    server.answers["initialize"] = SILENCE
    return server


def opened(world: World, index: int) -> None:
    """Let a server answer `initialize`."""
    result = handshake_server().answers["initialize"]({})
    number = world.servers[index].ids_of("initialize")[0]
    world.transports[index].deliver(jsonrpc.result_response(b"%d" % number, json.dumps(result).encode()))


def callers(server: TableServer) -> set[str]:
    """Who made the calls that this server got, as their arguments say."""
    return {params["arguments"]["who"] for params in server.params_of("tools/call")}


async def call_of(world: World, who: str, **fields: Any) -> Any:
    return await world.call(arguments={"who": who}, principal=who, **fields)


async def open_call(world: World, who: str, **fields: Any) -> Attachment:
    """A call that a server has got, and has not answered."""
    before = sum(server.methods.count("tools/call") for server in world.servers)
    attachment = world.open(arguments={"who": who}, principal=who, **fields)
    await until(lambda: sum(server.methods.count("tools/call") for server in world.servers) > before)
    return attachment


def answer(world: World, index: int) -> None:
    """Let a server answer the first of its calls."""
    number = world.servers[index].ids_of("tools/call")[0]
    world.transports[index].deliver(jsonrpc.result_response(b"%d" % number, b"{}"))


# --- whose conversation it is ---


async def test_each_principal_has_a_conversation_and_the_shared_one_carries_no_calls():
    async with backend_to(fresh=handshake_server, isolation=PRINCIPAL) as world:
        for who in ("ada", "bob", "ada"):
            assert isinstance(await call_of(world, who), Reply)

        assert [callers(server) for server in world.servers] == [set(), {"ada"}, {"bob"}]
        assert [server.methods.count("tools/list") for server in world.servers] == [1, 0, 0]


async def test_sessions_of_one_principal_are_kept_apart_only_if_configured():
    fields: list[dict[str, Any]] = [{"session": b"s1"}, {"session": b"s2"}, {}]
    for isolation, conversations in ((SESSION, 3), (PRINCIPAL, 1)):
        async with backend_to(fresh=handshake_server, isolation=isolation) as world:
            for more in fields:
                await call_of(world, "ada", **more)

            assert len(world.transports) == 1 + conversations


async def test_a_server_hears_what_its_one_client_can_be_asked_and_no_more():
    async with backend_to(fresh=handshake_server, isolation=PRINCIPAL) as world:
        await call_of(world, "ada", capabilities=b'{"sampling":{},"x-vendor":{},"elicitation":{}}')
        await call_of(world, "ada", capabilities=b'{"elicitation":{"form":{}},"sampling":{"x":1}}')
        await call_of(world, "ada", capabilities=b"{}")

        declared = [server.params_of("initialize")[0]["capabilities"] for server in world.servers]
        assert declared == [{}, {"elicitation": {"form": {}}, "sampling": {}}, {}]


async def test_a_process_that_everyone_shares_is_told_of_all_that_we_can_bridge():
    async with backend_to(fresh=handshake_server) as world:
        await call_of(world, "ada", capabilities=b"{}")

        (server,) = world.servers
        assert set(server.params_of("initialize")[0]["capabilities"]) == {"elicitation", "sampling", "roots"}


async def test_over_the_network_those_share_whom_the_server_can_ask_the_same():
    endpoint = HttpEndpoint(url="http://127.0.0.1:1/mcp")
    async with backend_to(fresh=handshake_server, endpoint=endpoint) as world:
        for principal, capabilities in (("ada", b'{"roots":{}}'), ("bob", b'{"roots":{}}'), ("bob", b"{}")):
            await call_of(world, principal, capabilities=capabilities)

        declared = [server.params_of("initialize")[0]["capabilities"] for server in world.servers]
        assert declared == [{}, {"roots": {}}]


async def test_the_era_is_not_asked_again_for_each_conversation():
    async with backend_to(fresh=handshake_server, isolation=PRINCIPAL) as world:
        await call_of(world, "ada")

        assert [server.methods.count("server/discover") for server in world.servers] == [1, 0]


async def test_a_server_that_was_replaced_by_one_of_the_other_era_is_spoken_to_all_the_same():
    async with backend_to(fresh=in_turn(handshake_server, modern_server), isolation=PRINCIPAL) as world:
        assert (await call_of(world, "ada")).era is Era.MODERN


async def test_a_modern_server_over_http_keeps_nothing_and_is_shared():
    endpoint = HttpEndpoint(url="http://127.0.0.1:1/mcp")

    async with backend_to(fresh=modern_server, isolation=PRINCIPAL, endpoint=endpoint) as world:
        for who in ("ada", "bob"):
            await call_of(world, who)

        assert len(world.transports) == 1


async def test_a_modern_server_that_is_a_process_is_one_for_each_principal_whatever_their_capabilities():
    async with backend_to(fresh=modern_server, isolation=PRINCIPAL) as world:
        await call_of(world, "ada", capabilities=b'{"roots":{}}')
        await call_of(world, "ada")
        await call_of(world, "bob")

        assert [callers(server) for server in world.servers] == [set(), {"ada"}, {"bob"}]


async def test_the_question_of_a_server_goes_to_the_one_whose_conversation_it_is():
    able = {"capabilities": b'{"elicitation":{}}'}
    async with backend_to(fresh=silent, isolation=PRINCIPAL) as world:
        calls = [await open_call(world, who, **able) for who in ("ada", "bob")]

        world.transports[2].deliver(jsonrpc.request(99, "elicitation/create", json.dumps(QUESTION).encode()))
        event = await event_of(calls[1])
        calls[1].answer(event.seq, b'{"result":{"action":"decline"}}')
        await until(lambda: any("result" in heard for heard in world.servers[2].heard))
        for index in (1, 2):
            answer(world, index)

        assert json.loads(event.data)["method"] == "elicitation/create"
        assert calls[0].last_seq == 0
        assert [isinstance(await outcome_of(call), Reply) for call in calls] == [True, True]


# --- opening ---


async def test_calls_that_come_while_it_opens_share_the_opening_and_wait_for_it():
    async with backend_to(fresh=in_turn(handshake_server, silent_start), isolation=PRINCIPAL) as world:
        calls = [world.open(arguments={"who": "ada"}, principal="ada") for _ in range(3)]
        await until(lambda: len(world.servers) == 2 and "initialize" in world.servers[1].methods)
        in_flight = world.backend.load().in_flight

        opened(world, 1)

        assert [isinstance(await outcome_of(call), Reply) for call in calls] == [True] * 3
        assert in_flight == 3
        assert len(world.transports) == 2


async def test_a_call_that_waits_for_its_conversation_can_be_cancelled_and_times_out():
    async with backend_to(fresh=in_turn(handshake_server, silent_start), isolation=PRINCIPAL) as world:
        given_up = world.open(principal="ada", time_left=0.02)
        cancelled = world.open(principal="ada")
        await until(lambda: len(world.servers) == 2 and "initialize" in world.servers[1].methods)
        cancelled.cancel("unwanted")
        outcomes = [await outcome_of(given_up), await outcome_of(cancelled)]
        opened(world, 1)
        await ticks()

        assert [outcome.kind for outcome in outcomes] == [FailureKind.TIMEOUT, FailureKind.CANCELLED]
        assert "tools/call" not in world.servers[1].methods
        assert world.backend.load().in_flight == 0


async def test_a_conversation_that_cannot_be_opened_fails_its_calls_unsent_and_the_next_call_tries_again():
    async with backend_to(handshake_server(), isolation=PRINCIPAL) as world:
        world.server = "no more processes"
        failed = [await outcome_of(call) for call in [world.open(principal="ada"), world.open(principal="ada")]]
        world.server = handshake_server()

        assert failed == [Failure(FailureKind.UNAVAILABLE, "git", "no more processes")] * 2
        assert isinstance(await call_of(world, "ada"), Reply)
        assert len(world.transports) == 3


async def test_a_conversation_that_is_not_open_in_time_is_given_up():
    async with backend_to(
        fresh=in_turn(handshake_server, silent_start), isolation=PRINCIPAL, start_timeout=0.1
    ) as world:
        assert await call_of(world, "ada") == Failure(FailureKind.UNAVAILABLE, "git", "not ready within 0.1 s")
        await until(lambda: world.transports[1].is_closed)


async def test_conversations_that_cannot_be_opened_count_against_the_server():
    breaker = BreakerSettings(failure_threshold=3)

    async with backend_to(handshake_server(), isolation=PRINCIPAL, breaker=breaker) as world:
        world.server = "no more processes"
        for who in ("ada", "bob", "eve"):
            await call_of(world, who)

        assert world.link.load.breaker is State.OPEN


# --- the end of one ---


async def test_a_conversation_that_is_lost_fails_its_calls_and_no_others_and_the_next_call_opens_another():
    async with backend_to(fresh=silent, isolation=PRINCIPAL) as world:
        lost, other = await open_call(world, "ada"), await open_call(world, "bob")

        world.transports[1].lose("exit code 3")
        outcome = await outcome_of(lost)
        again = await open_call(world, "ada")
        for index in (2, 3):
            answer(world, index)

        assert outcome == Failure(FailureKind.DISCONNECTED, "git", "exit code 3")
        assert isinstance(await outcome_of(other), Reply)
        assert isinstance(await outcome_of(again), Reply)
        assert world.transports[1].is_closed


async def test_a_call_in_the_very_moment_of_the_loss_is_carried_by_the_next_conversation():
    async with backend_to(fresh=handshake_server, isolation=PRINCIPAL) as world:
        await call_of(world, "ada")
        exchange = Exchange(
            exchange_id(99),
            tool_call(principal="ada"),
            backend="git",
            settings=ExchangeSettings(),
            max_data_bytes=1000,
            ended=lambda _: None,
        )

        world.transports[1].lose("exit code 3")
        world.backend.opened(exchange)
        await until(lambda: exchange.done)

        assert isinstance(exchange.outcome, Reply)
        assert [server.methods.count("tools/call") for server in world.servers] == [0, 1, 1]


async def test_while_the_shared_conversation_is_down_those_that_are_open_go_on_and_no_others_begin():
    async with backend_to(handshake_server(), isolation=PRINCIPAL) as world:
        await call_of(world, "ada")
        world.server = "no more processes"
        world.transports[0].lose("exit code 3")
        await until(lambda: world.backend.status().detail.startswith("exit code 3;"))

        assert isinstance(await call_of(world, "ada"), Reply)
        assert (await call_of(world, "bob")).kind is FailureKind.UNAVAILABLE
        assert world.link.load == Load(0, State.CLOSED)


async def test_an_idle_conversation_is_closed_after_a_while_and_one_with_a_call_is_not():
    async with backend_to(fresh=silent, isolation=PRINCIPAL, conversation_idle_seconds=0.03) as world:
        call = await open_call(world, "ada")
        await open_call(world, "bob")
        answer(world, 2)
        await until(lambda: world.transports[2].is_closed)

        assert not world.transports[1].is_closed
        answer(world, 1)
        assert isinstance(await outcome_of(call), Reply)
        await until(lambda: world.transports[1].is_closed)


async def test_the_longest_idle_one_makes_room_and_none_does_that_is_in_use():
    async with backend_to(fresh=handshake_server, isolation=PRINCIPAL, max_conversations=2) as world:
        for who in ("ada", "bob", "ada", "eve"):
            await call_of(world, who)
        alive = [not world.transports[index].is_closed for index in range(4)]
        for server in world.servers:
            server.answers["tools/call"] = SILENCE
        held = [await open_call(world, who) for who in ("ada", "eve")]
        refused = await call_of(world, "bob")

        assert alive == [True, True, False, True]
        detail = "its 2 conversations are all in use (`max_conversations`)"
        assert refused == Failure(FailureKind.BUSY, "git", detail, retry_after=1.0)
        assert world.link.load == Load(len(held), State.CLOSED)


async def test_no_more_servers_than_allowed_run_at_once_even_while_one_is_closing():
    async with backend_to(fresh=handshake_server, isolation=PRINCIPAL, max_conversations=1) as world:
        await call_of(world, "ada")
        world.may_close.clear()
        waiting = world.open(arguments={"who": "bob"}, principal="bob")
        await until(lambda: world.backend.load().in_flight == 1)
        await ticks()
        begun = len(world.transports)

        world.may_close.set()

        assert begun == 2
        assert isinstance(await outcome_of(waiting), Reply)


async def test_the_end_of_a_session_ends_its_conversation_and_its_calls_and_nobody_elses():
    async with backend_to(fresh=silent, isolation=SESSION) as world:
        calls = [await open_call(world, who, session=session) for who, session in (("ada", b"s1"), ("ada", b"s2"))]
        anonymous = await open_call(world, "")

        world.link.cancel_origin(b"s1")
        outcome = await outcome_of(calls[0])
        world.link.cancel_origin(b"")
        await until(lambda: world.transports[1].is_closed)
        for index in (2, 3):
            answer(world, index)

        assert outcome.kind is FailureKind.CANCELLED
        assert "notifications/cancelled" in world.servers[1].methods
        assert isinstance(await outcome_of(calls[1]), Reply)
        assert isinstance(await outcome_of(anonymous), Reply)


async def test_a_backend_that_stops_closes_all_of_them_also_those_that_just_open():
    async with backend_to(fresh=in_turn(handshake_server, silent, silent_start), isolation=PRINCIPAL) as world:
        running = await open_call(world, "ada")
        opening = world.open(principal="bob")
        await until(lambda: len(world.servers) == 3)

        await asyncio.wait_for(world.backend.stop(0.01), 5.0)

        assert [world.transports[index].is_closed for index in range(3)] == [True] * 3
        assert (await outcome_of(running)).kind is FailureKind.DISCONNECTED
        assert (await outcome_of(opening)).kind in (FailureKind.UNAVAILABLE, FailureKind.DISCONNECTED)


async def test_a_bug_in_one_conversation_fails_its_calls_and_disturbs_no_other():
    async with backend_to(fresh=handshake_server, isolation=PRINCIPAL) as world:
        await call_of(world, "ada")
        world._fresh = None
        world.server = lambda _: 7  # no list of messages

        outcome = await call_of(world, "bob")

        assert (outcome.kind, outcome.detail) == (
            FailureKind.UNAVAILABLE,
            "the gateway failed while it spoke with it; see its log",
        )
        assert isinstance(await call_of(world, "ada"), Reply)


async def test_a_server_that_refuses_a_conversation_is_quoted():
    async with backend_to(handshake_server(), isolation=PRINCIPAL) as world:
        world.server = handshake_server()
        world.server.answers["initialize"] = refuse(-32001, "no licence for two")

        outcome = await call_of(world, "ada")

        assert outcome == Failure(FailureKind.UNAVAILABLE, "git", "no licence for two (-32001)")


# --- always ---

calls = st.tuples(
    st.just("call"),
    st.sampled_from("abc"),
    st.sampled_from([b"", b"1", b"2"]),
    st.sampled_from([b"{}", b'{"roots":{}}']),
)
others = st.one_of(
    st.tuples(st.just("lose"), st.integers(1, 20)),
    st.tuples(st.just("end"), st.sampled_from([b"1", b"2"])),
    st.tuples(st.just("wait")),
)


@hypothesis_settings(UNHURRIED, max_examples=25)
@given(st.sampled_from([SESSION, PRINCIPAL]), st.lists(calls | others, min_size=1, max_size=20))
async def test_whatever_happens_no_server_ever_hears_of_two_users(isolation: Isolation, taken: list[tuple[Any, ...]]):
    async with backend_to(fresh=handshake_server, isolation=isolation, max_conversations=3) as world:
        held: list[Attachment] = []
        for step in taken:
            match step:
                case ("call", who, session, capabilities):
                    marks = {"who": who, "session": session.decode(), "roots": b"roots" in capabilities}
                    held.append(world.open(arguments=marks, principal=who, session=session, capabilities=capabilities))
                case ("lose", index) if index < len(world.transports):
                    world.transports[index].lose("exit code 3")
                case ("end", session):
                    world.link.cancel_origin(session)
                case ("wait",):
                    await asyncio.gather(*map(outcome_of, held))
                    held.clear()
            await ticks(3)
            assert sum(not world.transports[index].is_closed for index in range(1, len(world.transports))) <= 3
        await asyncio.gather(*map(outcome_of, held))

        assert world.servers[0].params_of("tools/call") == []
        for server in world.servers[1:]:
            arguments = [params["arguments"] for params in server.params_of("tools/call")]
            owners = {
                (each["who"], each["session"] if isolation is SESSION else "", each["roots"]) for each in arguments
            }
            declared = {"roots" in params["capabilities"] for params in server.params_of("initialize")}
            assert len(owners) <= 1
            assert {roots for *_, roots in owners} <= declared
        assert world.backend.load().in_flight == 0
