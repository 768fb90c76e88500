"""Over stdio a conversation of one's own is a process of one's own, and nothing of it is left."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from actors.connect import connect
from actors.core.endpoints import StdioEndpoint
from actors.core.outcome import FailureKind, Reply
from actors.core.settings import Isolation
from tests.support import counter_server
from tests.support.backends import World, backend_to
from tests.support.processes import descendants, eventually, is_there, wait_gone

SECONDS = 10.0
COUNTER = StdioEndpoint(command=sys.executable, args=("-S", counter_server.__file__))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = set(descendants(os.getpid()))
    yield
    assert set(descendants(os.getpid())) <= before


async def count(world: World, who: str, **fields: Any) -> dict[str, int]:
    """How many calls the server of a principal has had by now, and which process it is."""
    outcome = await world.call(name="count", principal=who, **fields)
    assert isinstance(outcome, Reply), outcome
    counted: dict[str, int] = json.loads(outcome.body)["structuredContent"]
    return counted


async def test_two_principals_have_a_process_each_and_neither_sees_what_the_other_does():
    async with backend_to(transports=connect, endpoint=COUNTER, isolation=Isolation.PRINCIPAL) as world:
        counted = await asyncio.gather(*(count(world, who) for who in ("ada", "bob", "ada", "ada")))
        pids = {who: (await count(world, who))["pid"] for who in ("ada", "bob")}
        calls = {who: sorted(each["calls"] for each in counted if each["pid"] == pid) for who, pid in pids.items()}

        await world.backend.stop(0.0)

        assert pids["ada"] != pids["bob"]
        assert calls == {"ada": [1, 2, 3], "bob": [1]}
        assert await wait_gone(pids.values(), SECONDS) == []


async def test_a_process_that_is_killed_is_nobody_elses_trouble_and_its_owner_gets_a_new_one():
    async with backend_to(transports=connect, endpoint=COUNTER, isolation=Isolation.PRINCIPAL) as world:
        ada, bob = await count(world, "ada"), await count(world, "bob")
        os.kill(ada["pid"], 9)
        await wait_gone([ada["pid"]], SECONDS)
        await eventually(lambda: len(world.backend._conversations) == 1, SECONDS)

        again = await count(world, "ada")

        assert again["pid"] != ada["pid"]
        assert again["calls"] == 1
        assert await count(world, "bob") == {"pid": bob["pid"], "calls": 2}


async def test_an_idle_process_is_ended_and_so_is_the_one_of_a_session_that_ended():
    async with backend_to(
        transports=connect, endpoint=COUNTER, isolation=Isolation.SESSION, conversation_idle_seconds=0.2
    ) as world:
        idle = await count(world, "ada")
        assert await wait_gone([idle["pid"]], SECONDS) == []

    async with backend_to(transports=connect, endpoint=COUNTER, isolation=Isolation.SESSION) as world:
        ended, kept = await count(world, "ada", session=b"s1"), await count(world, "ada", session=b"s2")
        world.link.cancel_origin(b"s1")

        assert await wait_gone([ended["pid"]], SECONDS) == []
        assert is_there(kept["pid"])


async def test_a_command_that_cannot_be_started_twice_fails_the_call_by_name():
    missing = StdioEndpoint(command="/nonexistent/server")

    async with backend_to(transports=connect, endpoint=missing, isolation=Isolation.PRINCIPAL) as world:
        outcome = await world.call(principal="ada")

        assert (outcome.kind, outcome.backend) == (FailureKind.UNAVAILABLE, "git")
