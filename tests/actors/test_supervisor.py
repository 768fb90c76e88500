"""A server is kept started: soon after one exit, slowly after many, and what it had is not forgotten meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.core import jsonrpc
from actors.core.endpoints import StdioEndpoint
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, FailureKind
from actors.core.revisions import Era
from actors.core.settings import BackendSettings
from actors.core.traffic_settings import HealthSettings
from actors.supervisor import CRASH_LOOP_EXITS, CRASH_LOOP_PAUSE, QUIET_SECONDS, Supervisor
from actors.transports.memory import MemoryTransport
from tests.support.bus import until
from tests.support.hand_clock import HandClock
from tests.support.hand_sleep import HandSleep
from tests.support.upstreams import SILENCE, TableServer, always, handshake_server, modern_server, refuse, ticks, tool

UP, DOWN, STARTING = ReplicaState.UP, ReplicaState.DOWN, ReplicaState.STARTING
LIST_CHANGED = jsonrpc.notification("notifications/tools/list_changed")
CHANGING = {"tools": {"listChanged": True}}


class ClosingTransport(MemoryTransport):
    """Keeps whether it was closed."""

    closes = 0

    async def close(self) -> None:
        self.closes += 1
        await super().close()


class World:
    """A supervisor, the transports it has made, and the time it lives in."""

    def __init__(self, *servers: Any, start_timeout: float = 10.0) -> None:
        self.clock = HandClock()
        self.sleep = HandSleep(self.clock)
        self.transports: list[ClosingTransport] = []
        self.states: list[ReplicaState] = []
        self.details: list[str] = []
        """State and detail at every change."""
        self._servers = list(servers)
        settings = BackendSettings(
            name="git",
            endpoint=StdioEndpoint(command="git-mcp"),
            start_timeout=start_timeout,
            health=HealthSettings(enabled=False),
        )
        self.supervisor = Supervisor(
            settings,
            self._connect,
            self._changed,
            clock=self.clock,
            dice=lambda: 0.0,
            sleep=self.sleep,
        )

    def _connect(self, _: BackendSettings) -> ClosingTransport:
        server = self._servers.pop(0) if len(self._servers) > 1 else self._servers[0]
        if isinstance(server, Exception):
            raise server
        transport = ClosingTransport(server) if callable(server) else ClosingTransport(refuses=server)
        self.transports.append(transport)
        return transport

    def _changed(self) -> None:
        self.states.append(self.supervisor.state)
        self.details.append(self.supervisor.detail)

    @property
    def tools(self) -> list[str]:
        """The names of the tools listed last."""
        return [item.identity for item in self.supervisor.listing.tools]

    def lose_soon(self, reason: str) -> None:
        """Let the server that runs now die of what it was asked."""
        asyncio.get_running_loop().call_soon(self.transports[-1].lose, reason)

    async def lose(self, reason: str = "it crashed") -> None:
        """Let the running server die, and be found dead."""
        self.transports[-1].lose(reason)
        await until(lambda: self.supervisor.state is DOWN and bool(self.sleep.asleep))

    async def start_again(self) -> None:
        """Let the pause before the next start pass."""
        before = len(self.transports)
        self.sleep.wake()
        await until(lambda: len(self.transports) > before)


@asynccontextmanager
async def supervised(*servers: Any, **options: Any) -> AsyncIterator[World]:
    """A supervisor that has settled."""
    world = World(*servers, **options)
    world.supervisor.begin()
    try:
        await asyncio.wait_for(world.supervisor.settled.wait(), 10.0)
        yield world
    finally:
        await world.supervisor.stop()


def test_before_it_begins_nothing_has_happened():
    world = World(handshake_server())

    assert world.supervisor.state is STARTING
    assert not world.supervisor.settled.is_set()
    assert world.transports == []


@pytest.mark.parametrize(
    ("server", "era"),
    [(handshake_server(tool("a"), tool("b")), Era.HANDSHAKE), (modern_server(tool("a"), tool("b")), Era.MODERN)],
)
async def test_a_server_that_is_up_has_facts_and_a_listing(server: TableServer, era: Era):
    async with supervised(server) as world:
        assert world.supervisor.state is UP
        assert world.supervisor.upstream is not None
        assert world.supervisor.facts.era is era
        assert world.tools == ["a", "b"]
        assert world.states == [UP]
        assert world.supervisor.absence() is None


async def test_a_server_that_cannot_be_started_is_down_with_the_reason_and_the_time_of_the_next_start():
    async with supervised("no such command") as world:
        await until(lambda: bool(world.sleep.asleep))

        assert world.supervisor.state is DOWN
        assert world.supervisor.detail == "no such command; attempt 2 follows in 0.25 s"
        assert world.supervisor.upstream is None
        assert world.supervisor.absence() == Failure(FailureKind.UNAVAILABLE, "git", world.supervisor.detail, 0.25)
        assert world.sleep.asleep == [0.25]


async def test_a_crashed_server_is_down_at_once_and_up_again_after_a_pause():
    async with supervised(handshake_server(tool("a"))) as world:
        await world.lose("exit code 3")
        while_away = (world.supervisor.detail, world.supervisor.upstream, world.tools, world.supervisor.restarts)

        await world.start_again()
        await until(lambda: world.supervisor.state is UP)

        assert while_away == ("exit code 3; attempt 2 follows in 0.25 s", None, ["a"], 0)
        assert world.supervisor.restarts == 1
        assert world.states == [UP, DOWN, UP]
        assert world.transports[0].closes == 1


async def test_the_pauses_double_until_the_server_is_up_and_then_begin_again():
    async with supervised("refused", "refused", "refused", handshake_server()) as world:
        for _ in range(3):
            await until(lambda: bool(world.sleep.asleep))
            await world.start_again()
        await until(lambda: world.supervisor.state is UP)

        await world.lose()

        assert world.sleep.taken == [0.25, 0.5, 1.0, 0.25]
        attempts = [(2, 0.25), (3, 0.5), (4, 1)]
        refusals = [f"refused; attempt {attempt} follows in {pause} s" for attempt, pause in attempts]
        assert world.details == [*refusals, "", "it crashed; attempt 2 follows in 0.25 s"]
        assert world.supervisor.restarts == 3


async def test_no_pause_is_longer_than_the_cap():
    async with supervised("refused") as world:
        for _ in range(20):
            await until(lambda: bool(world.sleep.asleep))
            await world.start_again()

        assert max(pause for pause in world.sleep.taken if pause != CRASH_LOOP_PAUSE) == 15.0


async def test_a_server_that_keeps_crashing_is_left_alone_for_a_while_and_says_so():
    async with supervised(handshake_server()) as world:
        for _ in range(CRASH_LOOP_EXITS - 1):
            await world.lose()
            await world.start_again()
            await until(lambda: world.supervisor.state is UP)
        await world.lose()

        assert world.sleep.taken == [0.25] * (CRASH_LOOP_EXITS - 1) + [CRASH_LOOP_PAUSE]
        assert world.supervisor.detail == "it crashed; it keeps failing; attempt 2 follows in 60 s"
        assert world.supervisor.absence().retry_after == CRASH_LOOP_PAUSE


async def test_a_server_that_crashes_now_and_then_is_in_no_crash_loop():
    async with supervised(handshake_server()) as world:
        for _ in range(CRASH_LOOP_EXITS + 2):
            world.clock.advance(30.0)
            await world.lose()
            await world.start_again()
            await until(lambda: world.supervisor.state is UP)

        assert set(world.sleep.taken) == {0.25}


async def test_a_server_that_is_not_ready_in_time_is_ended():
    silent = TableServer({"server/discover": SILENCE})

    async with supervised(silent, start_timeout=0.02) as world:
        await until(lambda: bool(world.sleep.asleep))

        assert world.supervisor.state is DOWN
        assert world.supervisor.detail == "not ready within 0.02 s; attempt 2 follows in 0.25 s"
        assert world.transports[0].closes == 1


async def test_a_server_that_goes_while_its_lists_are_read_is_down_with_its_last_words():
    server = handshake_server()
    world = World(server)

    def die(_: Any) -> None:
        def dying() -> None:
            world.transports[0].fail(server.ids_of("tools/list")[0], FailureKind.DISCONNECTED, "exit code 3")
            world.transports[0].closed("exit code 3: no licence found")

        asyncio.get_running_loop().call_soon(dying)

    server.answers["tools/list"] = die
    world.supervisor.begin()
    await until(lambda: bool(world.sleep.asleep))
    await world.supervisor.stop()

    assert world.states == [DOWN, DOWN]
    assert world.details == ["exit code 3: no licence found; attempt 2 follows in 0.25 s", "stopped"]


async def test_a_server_that_dies_of_the_modern_question_is_up_and_its_first_life_is_closed():
    fragile = handshake_server()
    world = World(fragile, handshake_server(tool("a")))
    fragile.answers["server/discover"] = lambda _: world.lose_soon("bad request")

    world.supervisor.begin()
    await until(lambda: world.supervisor.state is not STARTING)
    await ticks()

    assert world.supervisor.state is UP
    assert [transport.closes for transport in world.transports] == [1, 0]
    await world.supervisor.stop()


async def test_what_an_adapter_keeps_going_ends_with_the_server():
    server = modern_server(capabilities=CHANGING)
    async with supervised(server) as world:
        await world.supervisor.stop()

        assert server.ids_of("subscriptions/listen")[0] in world.transports[0].dropped


async def test_the_era_is_remembered_while_all_is_well():
    server = handshake_server()
    async with supervised(server) as world:
        await world.lose()
        await world.start_again()
        await until(lambda: world.supervisor.state is UP)

        assert server.methods.count("server/discover") == 1


async def test_the_era_is_forgotten_when_the_server_does_not_come_up_in_it():
    server = handshake_server()
    async with supervised(server) as world:
        server.answers["initialize"] = refuse(-1, "upgraded")
        await world.lose()
        await world.start_again()
        await until(lambda: world.supervisor.detail.startswith("upgraded (-1);") and bool(world.sleep.asleep))
        server.answers.update(modern_server().answers)

        await world.start_again()
        await until(lambda: world.supervisor.state is UP)

        assert world.supervisor.facts.era is Era.MODERN


async def test_a_server_that_forgets_the_session_and_gives_no_other_is_started_again():
    server = handshake_server()
    async with supervised(server) as world:
        server.answers["initialize"] = refuse(-1, "no more")

        world.transports[0].forgotten()
        await until(lambda: bool(world.sleep.asleep))

        assert world.supervisor.state is DOWN
        assert "no more" in world.supervisor.detail


async def test_a_bug_in_one_conversation_does_not_end_the_supervision():
    async with supervised(ZeroDivisionError("a bug"), handshake_server()) as world:
        await until(lambda: bool(world.sleep.asleep))
        detail = world.supervisor.detail

        await world.start_again()
        await until(lambda: world.supervisor.state is UP)

        assert detail.startswith("the gateway failed while it spoke with it; see its log")


# --- lists that change ---


async def test_many_changes_at_once_are_read_once_and_told_once():
    server = handshake_server(tool("a"))
    async with supervised(server) as world:
        server.answers["tools/list"] = always({"tools": [tool("a"), tool("b")]})

        for _ in range(10):
            world.transports[0].deliver(LIST_CHANGED)
        await until(lambda: bool(world.sleep.asleep))
        world.sleep.wake()
        await until(lambda: world.tools == ["a", "b"])

        assert server.methods.count("tools/list") == 2
        assert world.sleep.taken == [QUIET_SECONDS]
        assert world.states == [UP, UP]


async def test_a_change_that_changes_nothing_is_not_told():
    server = handshake_server(tool("a"))
    async with supervised(server) as world:
        world.transports[0].deliver(LIST_CHANGED)
        await until(lambda: bool(world.sleep.asleep))
        world.sleep.wake()
        await until(lambda: server.methods.count("tools/list") == 2)
        await ticks()

        assert world.states == [UP]


async def test_a_change_during_the_start_is_not_lost():
    server = modern_server(tool("a"), capabilities=CHANGING)
    world = World(server)
    server.answers["tools/list"] = lambda _: world.transports[0].deliver(LIST_CHANGED) or {"tools": []}
    world.supervisor.begin()
    await until(lambda: bool(world.sleep.asleep))

    server.answers["tools/list"] = always({"tools": [tool("late")]})
    world.sleep.wake()

    await until(lambda: world.tools == ["late"])
    await world.supervisor.stop()


async def test_lists_that_cannot_be_read_again_stay_and_are_tried_again():
    server = handshake_server(tool("a"))
    async with supervised(server) as world:
        answer = server.answers["tools/list"]
        server.answers["tools/list"] = SILENCE
        world.transports[0].deliver(LIST_CHANGED)
        await until(lambda: bool(world.sleep.asleep))
        world.sleep.wake()
        await until(lambda: server.methods.count("tools/list") == 2)

        world.transports[0].fail(server.ids_of("tools/list")[-1], FailureKind.TIMEOUT, "no answer")
        await until(lambda: world.sleep.asleep == [0.25])
        meanwhile = (world.supervisor.state, world.tools)
        server.answers["tools/list"] = lambda params: {"tools": [*answer(params)["tools"], tool("b")]}
        world.sleep.wake()
        await until(lambda: world.sleep.asleep == [QUIET_SECONDS])
        world.sleep.wake()

        await until(lambda: world.tools == ["a", "b"])
        assert meanwhile == (UP, ["a"])


async def test_a_list_that_is_refused_after_a_restart_is_the_one_known_before():
    server = handshake_server(tool("a"))
    async with supervised(server) as world:
        server.answers["tools/list"] = refuse(-32603, "database locked")
        await world.lose()
        await world.start_again()
        await until(lambda: world.supervisor.state is UP)

        assert world.tools == ["a"]


# --- the end ---


async def test_stopping_closes_the_server_and_nothing_is_started_again():
    async with supervised(handshake_server()) as world:
        await world.supervisor.stop()

        assert world.supervisor.state is DOWN
        assert world.supervisor.detail == "stopped"
        assert world.supervisor.upstream is None
        assert world.transports[0].closes == 1
        assert world.sleep.asleep == []


async def test_stopping_during_the_start_lets_nobody_wait_for_it():
    world = World(TableServer({"server/discover": SILENCE}))
    world.supervisor.begin()
    await until(lambda: bool(world.transports))

    await world.supervisor.stop()

    assert world.supervisor.settled.is_set()
    assert world.transports[0].closes == 1


async def test_what_lacked_something_is_started_at_once_when_it_is_there():
    async with supervised(ConnectionError("no consent"), modern_server()) as world:
        await until(lambda: bool(world.sleep.asleep))

        world.supervisor.hurry()
        await until(lambda: world.supervisor.state is UP)

        assert world.sleep.asleep == []
        assert world.supervisor.restarts == 1


async def test_what_is_there_while_a_start_still_fails_is_not_overlooked():
    class HurriedWorld(World):
        def _connect(self, settings: BackendSettings) -> ClosingTransport:
            self.supervisor.hurry()
            return super()._connect(settings)

    world = HurriedWorld(ConnectionError("no consent"), modern_server())
    world.supervisor.begin()
    await until(lambda: world.supervisor.state is UP)

    assert world.supervisor.restarts == 1
    await world.supervisor.stop()
