"""Calls of bound sessions: none runs in another server than those before it, whoever's that server was."""

from typing import Any

from actors.bus.exchange import Exchange, ExchangeSettings
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, FailureKind, Outcome, Reply
from actors.core.settings import Isolation
from tests.support.backends import World, backend_to
from tests.support.bus import exchange_id, until
from tests.support.upstreams import handshake_server, tool_call

LOST = Failure(FailureKind.SESSION_LOST, "git")
ADA, BOB = {"principal": "ada", "session": b"of ada"}, {"principal": "bob", "session": b"of bob"}


async def call(world: World, binding: int = 1, **whose: Any) -> Outcome:
    return await world.call(**{"session": b"one", **whose}, binding=binding)


async def down(world: World) -> None:
    """Lose the server that everybody shares, and be without one."""
    world.transports[0].lose("exit code 3")
    await until(lambda: world.backend.status().state is ReplicaState.DOWN)


async def up(world: World) -> None:
    await until(lambda: world.backend.status().state is ReplicaState.UP)


async def test_a_session_is_told_when_its_server_is_gone_and_when_another_is_there():
    async with backend_to(fresh=handshake_server) as world:
        first = await call(world)
        await down(world)
        meanwhile = await call(world)
        await up(world)
        later = await call(world)
        anew = [await call(world, 3), await call(world, 3)]

        assert isinstance(first, Reply)
        assert meanwhile == later == LOST
        assert all(isinstance(outcome, Reply) for outcome in anew)
        assert [server.methods.count("tools/call") for server in world.servers] == [1, 2]


async def test_the_breaker_hears_nothing_of_sessions_that_are_lost():
    async with backend_to(fresh=handshake_server) as world:
        await call(world)
        await down(world)
        for _ in range(20):
            assert await call(world) == LOST
        await up(world)

        assert isinstance(await call(world, 0), Reply)


async def test_a_session_that_comes_while_the_server_is_away_is_sent_on_and_one_that_is_not_bound_may_wait():
    async with backend_to(fresh=handshake_server) as world:
        await down(world)
        bound, free = await call(world), await call(world, 0)
        await up(world)

        assert bound == LOST
        assert isinstance(free, Failure)
        assert free.kind is FailureKind.UNAVAILABLE
        assert await call(world) == LOST
        assert isinstance(await call(world, 3), Reply)


async def test_the_end_of_its_own_server_is_the_loss_of_a_session_and_of_no_other():
    async with backend_to(fresh=handshake_server, isolation=Isolation.SESSION) as world:
        for whose in (ADA, BOB):
            assert isinstance(await call(world, **whose), Reply)

        world.transports[1].lose("exit code 3")
        lost = [await call(world, **ADA), await call(world, **ADA)]
        anew = await call(world, 3, **ADA)
        other = await call(world, **BOB)

        assert lost == [LOST, LOST]
        assert isinstance(anew, Reply)
        assert isinstance(other, Reply)
        assert [server.methods.count("tools/call") for server in world.servers] == [0, 1, 2, 1]


async def test_a_call_in_the_very_moment_of_the_loss_is_not_carried_by_the_next_conversation():
    async with backend_to(fresh=handshake_server, isolation=Isolation.SESSION) as world:
        await call(world, **ADA)
        exchange = Exchange(
            exchange_id(99),
            tool_call(**ADA, binding=1),
            backend="git",
            settings=ExchangeSettings(),
            max_data_bytes=1000,
            ended=lambda _: None,
        )

        world.transports[1].lose("exit code 3")
        world.backend.opened(exchange)
        await until(lambda: exchange.done)

        assert exchange.outcome == LOST


async def test_the_end_of_the_shared_server_is_no_loss_to_sessions_that_have_their_own():
    async with backend_to(fresh=handshake_server, isolation=Isolation.SESSION) as world:
        await call(world, **ADA)
        await down(world)
        meanwhile = await call(world, **ADA)
        await up(world)
        later = await call(world, **ADA)

        assert isinstance(meanwhile, Reply)
        assert isinstance(later, Reply)


async def test_sessions_of_one_principal_lose_what_they_share():
    async with backend_to(fresh=handshake_server, isolation=Isolation.PRINCIPAL) as world:
        for session in (b"one", b"two"):
            await call(world, principal="ada", session=session)

        world.transports[1].lose("exit code 3")

        assert [await call(world, principal="ada", session=each) for each in (b"one", b"two")] == [LOST, LOST]


async def test_a_server_that_was_closed_because_nobody_used_it_is_gone_with_its_state():
    async with backend_to(fresh=handshake_server, isolation=Isolation.SESSION, conversation_idle_seconds=0.01) as world:
        await call(world, **ADA)
        await until(lambda: world.transports[1].is_closed)

        assert await call(world, **ADA) == LOST
        assert isinstance(await call(world, 3, **ADA), Reply)


async def test_nothing_is_kept_of_a_session_that_is_over():
    async with backend_to(fresh=handshake_server) as world:
        await call(world)
        world.backend.cancelled_origin(b"one")

        assert len(world.backend._sessions) == 0
