"""The configuration changes again and again under load: who is not meant notices nothing, and nothing is left."""

from functools import partial

import pytest

from tests.support.cluster_callers import Load
from tests.support.processes import eventually
from tests.support.traffic import POOL_READ, SHIFTING, STEADY, Traffic
from tests.support.traffic_reload import holding, left_behind, reload_with, reloads, settled, versions

pytestmark = pytest.mark.cluster

RELOADS = 16
"""An even number; `python -m load.reload` does a hundred."""


async def test_reloads_under_load_fail_no_call_touch_nothing_unchanged_and_leave_nothing(traffic: Traffic) -> None:
    await traffic.whole()
    original = traffic.running.configured
    changing = versions(original)
    for _ in range(2):  # what is made once, at the first reload, is no leak
        await reload_with(traffic, next(changing))
    before = await holding(traffic)

    async with traffic.load(STEADY, SHIFTING, POOL_READ) as load:
        for _ in range(RELOADS):
            await reload_with(traffic, next(changing))
            enough = len(load.calls) + 30
            await eventually(partial(has_made, load, enough), 30)
    after = await settled(traffic, before)
    seen = reloads(traffic)
    traffic.running.configure(original)
    await eventually(lambda: reloads(traffic) > seen, 30)

    assert load.troubled == []
    assert traffic.ran_twice() == []
    assert left_behind(before, after) == {}
    assert before.servers <= after.servers, "servers over stdio are the same processes"


def has_made(load: Load, calls: int) -> bool:
    return len(load.calls) >= calls


async def test_a_file_that_cannot_be_used_changes_nothing_and_is_told_of(traffic: Traffic) -> None:
    await traffic.whole()
    original = traffic.running.configured
    async with traffic.load(STEADY, callers=2) as load:
        traffic.running.configure({**original, "guest": {"url": "no address"}})
        await eventually(lambda: "not reloaded: nothing has changed" in traffic.running.output(), 30)
        servers = await traffic.servers()
        seen = reloads(traffic)
        traffic.running.configure({**original, "steady": {**original["steady"], "timeout": 33}})
        await eventually(lambda: reloads(traffic) > seen, 30)
        traffic.running.configure(original)
        await eventually(lambda: reloads(traffic) > seen + 1, 30)

    assert load.troubled == []
    assert servers.keys() == original.keys()
