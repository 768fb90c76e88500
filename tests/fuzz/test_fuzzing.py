"""What the fuzz must notice, it notices; and its inputs are what they should be."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import pytest
import structlog

from tests.fuzz.fuzzing import Found, fuzz
from tests.fuzz.mutations import Mutator
from tests.fuzz.seeds import REQUESTS, as_json

Step = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """All is well."""


class Scripted:
    """A target that does one thing at its tenth input, and another as its canary."""

    def __init__(self, tenth: Step, canary: Step) -> None:
        self.last = b""
        self.fed = 0
        self._tenth = tenth
        self._canary = canary

    async def feed(self, mutator: Mutator) -> bool:
        self.fed += 1
        self.last = mutator.bytes_of([b"seed"])
        if self.fed == 10:
            await self._tenth()
        return True

    async def canary(self) -> None:
        if self.fed > 1:
            await self._canary()


def scripted(tenth: Step = nothing, canary: Step = nothing) -> Callable[[], AbstractAsyncContextManager[Scripted]]:
    @asynccontextmanager
    async def target() -> AsyncIterator[Scripted]:
        yield Scripted(tenth, canary)

    return target


async def raises() -> None:
    raise ValueError("a bug")


async def logs_an_error() -> None:
    structlog.get_logger().error("request_failed")


async def fails_unheard() -> None:
    asyncio.get_running_loop().call_exception_handler({"message": "nobody waited"})


async def takes_long() -> None:
    began = time.thread_time()
    while time.thread_time() - began < 0.05:
        pass


@pytest.mark.parametrize("step", [raises, logs_an_error, fails_unheard, takes_long])
async def test_what_goes_wrong_is_reported_with_the_number_and_the_input_that_did_it(step: Step) -> None:
    with pytest.raises(Found, match=r"one, input 9 of seed 5: .*\nafter b'"):
        await fuzz("one", scripted(step), 20, 5, cpu_seconds=0.04)


async def test_a_wrong_answer_to_somebody_else_is_reported() -> None:
    with pytest.raises(Found, match=r"input 25 of seed 5: .*a bug"):
        await fuzz("one", scripted(canary=raises), 100, 5)


async def test_what_is_logged_for_people_is_no_incident() -> None:
    async def warns() -> None:
        structlog.get_logger().warning("server_output_ignored")

    figures = await fuzz("one", scripted(warns), 20, 5)

    assert (figures.inputs, figures.taken) == (20, 20)


def test_the_same_dice_make_the_same_input_and_others_another() -> None:
    seeds = [as_json(request) for request in REQUESTS]

    first, again, other = (
        [Mutator(Random(dice)).bytes_of(seeds) for dice in range(start, start + 50)] for start in (0, 0, 50)
    )

    assert first == again
    assert first != other


def test_a_spoilt_value_stays_json() -> None:
    spoilt = [Mutator(Random(dice)).json_of(REQUESTS[0]) for dice in range(500)]

    assert all(json.loads(each) is not ... for each in spoilt)
    assert len(set(spoilt)) > 150


def test_pieces_are_the_whole() -> None:
    data = bytes(range(256))

    cut = [Mutator(Random(dice)).pieces(data) for dice in range(100)]

    assert all(b"".join(pieces) == data for pieces in cut)
    assert {len(pieces) for pieces in cut} == {1, 2, 3, 5, 256}
