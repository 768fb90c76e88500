"""A real server that is stopped in its tracks is left alone, and is back as soon as it goes on: the very same one."""

import json
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from actors.connect import connect
from actors.core.endpoints import StdioEndpoint
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from actors.core.settings import BackendSettings
from actors.core.traffic_settings import HealthSettings
from actors.transports.stdio import StdioTransport
from tests.support import counter_server
from tests.support.backends import World, backend_to, outcome_of
from tests.support.processes import ROOT, command, descendants, eventually

SECONDS = 10.0
UP, DOWN = ReplicaState.UP, ReplicaState.DOWN
OFTEN = HealthSettings(interval=0.05, timeout=0.2, healthy_after=2, unhealthy_after=2)
COUNTER = StdioEndpoint(command=sys.executable, args=("-S", counter_server.__file__))
"""It does not know `ping`, and says so."""


def module(name: str, *args: str) -> StdioEndpoint:
    """The command line of a module of this repository."""
    program, *rest = command(name, *args)
    return StdioEndpoint(command=program, args=tuple(rest), cwd=str(ROOT))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = set(descendants(os.getpid()))
    yield
    assert set(descendants(os.getpid())) <= before


async def moved_to(world: World, state: ReplicaState) -> None:
    await eventually(lambda: world.backend.status().state is state, SECONDS)


@pytest.mark.parametrize(
    ("endpoint", "era"),
    [
        (COUNTER, Era.HANDSHAKE),
        (module("tests.support.chaos_server"), Era.HANDSHAKE),
        (module("tests.support.fixture_server", "--stdio", "--era", "modern"), Era.MODERN),
    ],
)
async def test_a_stopped_server_is_down_and_when_it_goes_on_it_is_up_without_a_restart(
    endpoint: StdioEndpoint, era: Era
):
    started: list[StdioTransport] = []

    def start(settings: BackendSettings) -> StdioTransport:
        started.append(connect(settings))
        return started[-1]

    async with backend_to(transports=start, endpoint=endpoint, health=OFTEN) as world:
        await moved_to(world, UP)
        server = started[0].pid
        os.kill(server, signal.SIGSTOP)
        try:
            await moved_to(world, DOWN)
            refused = await world.call(name="echo")
        finally:
            os.kill(server, signal.SIGCONT)

        await moved_to(world, UP)

        unwell = "it did not answer 2 health checks"
        assert refused == Failure(FailureKind.UNAVAILABLE, "git", unwell)
        assert world.backend.status().facts.era is era
        assert world.backend.status().restarts == 0
        assert len(started) == 1
        await eventually(lambda: world.router.statuses[-1].state is UP, SECONDS)
        told = [(status.state, status.detail) for status in world.router.statuses]
        assert told[-3:] == [(UP, ""), (DOWN, unwell), (UP, "")]


async def test_a_call_that_was_under_way_gets_its_answer_when_the_server_goes_on():
    async with backend_to(transports=connect, endpoint=COUNTER, health=OFTEN) as world:
        first = json.loads((await world.call(name="count")).body)["structuredContent"]
        os.kill(first["pid"], signal.SIGSTOP)
        try:
            caught = world.open(name="count")
            await moved_to(world, DOWN)
        finally:
            os.kill(first["pid"], signal.SIGCONT)

        outcome = await outcome_of(caught)

        assert isinstance(outcome, Reply)
        assert json.loads(outcome.body)["structuredContent"] == {"pid": first["pid"], "calls": 2}
