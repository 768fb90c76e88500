"""How long a Backend lets a call take."""

from typing import Any

import pytest

from actors.core import jsonrpc
from actors.core.outcome import Failure, FailureKind, Reply
from tests.support.backends import World, backend_to, event_of, outcome_of
from tests.support.bus import until
from tests.support.upstreams import SILENCE, TableServer, handshake_server


def silent() -> TableServer:
    server = handshake_server()
    server.answers["tools/call"] = SILENCE
    return server


def report_progress(world: World, call: dict[str, Any]) -> None:
    token = call["params"]["_meta"]["progressToken"]
    params = jsonrpc.encode({"progressToken": jsonrpc.raw(token), "progress": jsonrpc.raw(1)})
    world.transports[0].deliver(jsonrpc.notification("notifications/progress", params))


async def called(world: World) -> dict[str, Any]:
    """The call that the server got."""
    await until(lambda: "tools/call" in world.server.methods)
    return next(heard for heard in world.server.heard if heard.get("method") == "tools/call")


async def test_a_tool_has_its_own_limit():
    async with backend_to(silent(), timeout=60.0, timeouts={"echo": 0.02}) as world:
        outcome = await world.call(name="echo")

    assert outcome == Failure(FailureKind.TIMEOUT, "git", "after 0.02 s")


async def test_a_limit_of_a_tool_may_be_longer_than_that_of_its_backend():
    async with backend_to(silent(), timeout=0.02, timeouts={"index": 60.0}) as world:
        short, long = world.open(name="echo"), world.open(name="index")
        outcome = await outcome_of(short)
        world.transports[0].deliver(jsonrpc.result_response(b"%d" % world.server.ids_of("tools/call")[1], b"{}"))

        assert outcome.kind is FailureKind.TIMEOUT
        assert isinstance(await outcome_of(long), Reply)


@pytest.mark.parametrize("reset", [True, False])
async def test_progress_gives_a_call_its_time_anew_unless_it_is_not_to(reset: bool):
    async with backend_to(silent(), moves_timers=True, timeout=60.0, reset_on_progress=reset) as world:
        attachment = world.open(wants_progress=True)
        call = await called(world)
        world.clock.advance(50.0)
        report_progress(world, call)
        await event_of(attachment)
        world.clock.advance(10.0)
        world.timers.go_off()
        world.transports[0].deliver(jsonrpc.result_response(b"%d" % call["id"], b"{}"))
        outcome = await outcome_of(attachment)

    assert isinstance(outcome, Reply) == reset


async def test_progress_does_not_help_beyond_the_cap():
    async with backend_to(silent(), timeout=0.1, max_timeout=0.2) as world:
        attachment = world.open(wants_progress=True)
        report_progress(world, await called(world))
        world.clock.advance(0.15)
        await event_of(attachment)
        report_progress(world, await called(world))
        world.clock.advance(0.1)
        outcome = await outcome_of(attachment)

    assert outcome == Failure(FailureKind.TIMEOUT, "git", "after 0.2 s in all")
