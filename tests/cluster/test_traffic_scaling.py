"""Replicas that come and go with the work there is: no call notices."""

import time

import pytest

from tests.support.cluster_callers import Caller
from tests.support.processes import eventually
from tests.support.traffic import ELASTIC, SLEEPY, STEADY, Traffic

pytestmark = pytest.mark.cluster

WAKE_SECONDS = 20.0
"""What the first call of a backend that sleeps may take: its replica is started in a process that is there."""


async def test_replicas_come_under_load_and_go_after_it_and_no_call_fails(traffic: Traffic) -> None:
    async def up(count: int) -> bool:
        return await traffic.states("elastic") == ["up"] * count

    async with traffic.load(ELASTIC, STEADY) as load:
        await eventually(lambda: up(4), 60)
        grown_at = time.monotonic()
        await eventually(lambda: len(load.right_since(grown_at)) >= 200, 30)
    async with traffic.load(ELASTIC, callers=1) as less:
        await eventually(lambda: up(1), 60)

    assert load.troubled == []
    assert less.troubled == []
    assert traffic.ran_twice() == []


async def test_a_backend_that_sleeps_is_woken_by_its_first_call_which_waits_and_is_answered(traffic: Traffic) -> None:
    async def asleep() -> bool:
        return await traffic.states("sleepy") == []

    caller = Caller(traffic.running.url, "", legacy=False)
    try:
        for _ in range(2):
            await eventually(asleep, 60)
            listed = await caller.tools()
            call = await caller.call(SLEEPY, traffic.text())

            assert SLEEPY.tool in listed
            assert call.trouble == ""
            assert call.ended - call.began < WAKE_SECONDS
    finally:
        await caller.close()
