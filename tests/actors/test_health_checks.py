"""A server that does not answer is left alone until it does; its conversation goes on all the while."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.core.endpoints import StdioEndpoint
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.settings import BackendSettings
from actors.core.traffic_settings import HealthSettings
from actors.supervisor import Supervisor
from actors.transports.memory import MemoryTransport
from tests.support.bus import until
from tests.support.hand_clock import HandClock
from tests.support.hand_sleep import HandSleep
from tests.support.upstreams import (
    SILENCE,
    ListenerRecorder,
    TableServer,
    always,
    handshake_server,
    modern_server,
    refuse,
    ticks,
    tool_call,
)

UP, DOWN = ReplicaState.UP, ReplicaState.DOWN
CHECK = {"handshake": "ping", "modern": "server/discover"}
UNWELL = "it did not answer 3 health checks"


class World:
    """A supervised server, and the checks of it, which come when they are let."""

    def __init__(self, server: TableServer, check: str, **health: Any) -> None:
        self.server = server
        self.check = check
        self.clock = HandClock()
        self.sleep = HandSleep(self.clock)
        self.transport = MemoryTransport(server)
        self.moves: list[tuple[ReplicaState, str]] = []
        """State and detail at every change."""
        settings = BackendSettings(
            name="git", endpoint=StdioEndpoint(command="git-mcp"), health=HealthSettings(interval=10.0, **health)
        )
        self.supervisor = Supervisor(
            settings, self._connect, self._changed, clock=self.clock, dice=lambda: 0.5, sleep=self.sleep
        )

    def _connect(self, _: BackendSettings) -> MemoryTransport:
        return self.transport

    def _changed(self) -> None:
        self.moves.append((self.supervisor.state, self.supervisor.detail))

    @property
    def checks(self) -> int:
        """How often the server was asked, besides when the conversation was opened."""
        return self.server.methods.count(self.check) - (self.check == "server/discover")

    async def pass_time(self) -> None:
        """Until the next check has begun, and has ended if it is answered."""
        await until(lambda: bool(self.sleep.asleep))
        self.sleep.wake()
        await ticks()

    async def check_over(self, count: int) -> None:
        """Let the next check begin, which is the so-manieth, and end by itself."""
        await until(lambda: bool(self.sleep.asleep))
        self.sleep.wake()
        await until(lambda: len(self.sleep.taken) == count + 1)

    async def checks_passed(self, count: int) -> None:
        """Let the server answer some checks."""
        self.server.answers[self.check] = always({"supportedVersions": []})
        for _ in range(count):
            await self.pass_time()

    async def checks_failed(self, count: int) -> None:
        """Let the server answer some checks not at all."""
        self.server.answers[self.check] = SILENCE
        for _ in range(count):
            before = self.checks
            await self.pass_time()
            assert self.checks == before + 1
            self.transport.fail(self.server.ids_of(self.check)[-1], FailureKind.DISCONNECTED, "no answer")
            await ticks()

    async def call(self) -> Any:
        """A call through the shared conversation, and what became of it."""
        listener = ListenerRecorder()
        self.supervisor.upstream.start(tool_call(), listener)
        return await listener.outcome()


@asynccontextmanager
async def checked(
    era: str = "handshake", capabilities: dict[str, Any] | None = None, **health: Any
) -> AsyncIterator[World]:
    """A server that is up, and its first check to come."""
    server = {"handshake": handshake_server, "modern": modern_server}[era](capabilities=capabilities)
    world = World(server, CHECK[era], **health)
    if era == "handshake":
        server.answers["ping"] = always({})
    world.supervisor.begin()
    try:
        await until(lambda: world.supervisor.state is UP)
        await ticks()
        yield world
    finally:
        await world.supervisor.stop()


@pytest.mark.parametrize("era", CHECK)
async def test_a_server_that_answers_stays_up_and_nobody_hears_of_its_checks(era: str):
    async with checked(era) as world:
        await world.checks_passed(4)

        assert world.checks == 4
        assert world.moves == [(UP, "")]
        assert world.sleep.taken[:4] == [10.0] * 4


@pytest.mark.parametrize("era", CHECK)
async def test_a_server_that_misses_three_checks_is_down_and_after_two_it_is_up_again(era: str):
    async with checked(era) as world:
        await world.checks_failed(2)
        assert world.moves == [(UP, "")]
        await world.checks_failed(1)
        down = world.supervisor.absence()
        await world.checks_failed(2)

        await world.checks_passed(1)
        assert world.supervisor.state is DOWN
        await world.checks_passed(1)

        assert down == Failure(FailureKind.UNAVAILABLE, "git", UNWELL)
        assert world.moves == [(UP, ""), (DOWN, UNWELL), (UP, "")]
        assert world.supervisor.absence() is None
        assert world.supervisor.restarts == 0


async def test_what_runs_while_the_server_is_not_well_still_gets_its_answer():
    async with checked() as world:
        world.server.answers["tools/call"] = SILENCE
        listener = ListenerRecorder()
        world.supervisor.upstream.start(tool_call(), listener)
        await world.checks_failed(3)
        assert world.supervisor.state is DOWN

        number = world.server.ids_of("tools/call")[0]
        world.transport.deliver(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[]}}' % number)

        assert isinstance(await listener.outcome(), Reply)


@pytest.mark.parametrize("era", CHECK)
async def test_a_server_that_refuses_the_check_is_there(era: str):
    async with checked(era) as world:
        world.server.answers[world.check] = refuse(-32601, "unknown method")

        for _ in range(4):
            await world.pass_time()

        assert world.checks == 4
        assert world.moves == [(UP, "")]


@pytest.mark.parametrize("era", CHECK)
async def test_a_server_that_has_answered_a_call_since_the_last_check_is_not_asked(era: str):
    async with checked(era) as world:
        await world.checks_failed(2)

        assert isinstance(await world.call(), Reply)
        await world.pass_time()
        asked = world.checks
        await world.checks_failed(2)

        assert asked == 2
        assert world.moves == [(UP, "")]


async def test_a_server_that_keeps_silent_about_pings_is_asked_for_its_tools():
    async with checked(timeout=0.02) as world:
        world.server.answers["ping"] = SILENCE

        for checks in range(1, 7):
            await world.check_over(checks)

        assert world.server.methods[-6:] == ["ping", *["tools/list"] * 5]
        assert world.moves == [(UP, "")]


async def test_a_server_without_tools_is_asked_for_nothing_but_a_ping():
    async with checked(capabilities={}, timeout=0.02) as world:
        world.server.answers["ping"] = SILENCE

        for checks in range(1, 4):
            await world.check_over(checks)

        assert world.server.methods[-3:] == ["ping"] * 3
        assert world.supervisor.state is DOWN


async def test_a_call_that_failed_is_no_sign_of_life():
    async with checked() as world:
        world.server.answers["tools/call"] = SILENCE
        listener = ListenerRecorder()
        world.supervisor.upstream.start(tool_call(), listener)
        world.transport.fail(world.server.ids_of("tools/call")[0], FailureKind.TOO_LARGE, "a flood")
        await listener.outcome()

        await world.pass_time()

        assert world.checks == 1


async def test_a_check_is_given_up_in_time_and_the_next_comes_no_later_for_it():
    async with checked(timeout=0.02) as world:
        world.server.answers["ping"] = SILENCE
        await world.pass_time()
        world.clock.advance(4.0)

        await until(lambda: len(world.sleep.taken) == 2)

        assert world.sleep.taken == [10.0, 6.0]
        assert world.server.ids_of("ping")[0] in world.transport.dropped


async def test_a_server_that_goes_while_it_is_not_well_is_started_again_after_the_first_pause():
    async with checked() as world:
        world.transport.lose("it crashed")
        await until(lambda: world.sleep.asleep == [0.375])
        world.sleep.wake()
        await until(lambda: world.supervisor.state is UP)
        await world.checks_failed(3)

        world.transport.lose("it crashed again")
        await until(lambda: world.sleep.asleep == [0.375])

        assert world.moves[-1] == (DOWN, "it crashed again; attempt 2 follows in 0.38 s")


async def test_one_check_is_enough_where_that_is_set():
    async with checked(unhealthy_after=1, healthy_after=1) as world:
        await world.checks_failed(1)
        await world.checks_passed(1)

        assert world.moves == [(UP, ""), (DOWN, "it did not answer 1 health check"), (UP, "")]


async def test_without_checks_nobody_is_asked():
    async with checked(enabled=False) as world:
        await ticks()

        assert world.sleep.taken == []
        assert world.checks == 0
