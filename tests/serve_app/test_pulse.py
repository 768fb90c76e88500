"""When Ray counts as lost."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.pulse import MISSES, PERIOD_SECONDS, until_lost
from tests.support.bus import until


class Pulse:
    """A check that goes by a script, and passes when that is at its end."""

    def __init__(self, *script: bool | Exception | None) -> None:
        self.script = list(script)
        self.slept: list[float] = []

    async def check(self) -> bool:
        beat = self.script.pop(0) if self.script else True
        if beat is None:
            await asyncio.Event().wait()
        if isinstance(beat, Exception):
            raise beat
        return bool(beat)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) > 60:
            await asyncio.Event().wait()

    async def is_lost(self) -> bool:
        """Whether it is given up before it has passed for long."""
        task = asyncio.create_task(until_lost(self.check, self.sleep, limit=0.01))
        await until(lambda: task.done() or len(self.slept) > 60)
        task.cancel()
        return task.done()


@pytest.mark.parametrize("miss", [False, RuntimeError("no GCS"), None])
async def test_a_ray_that_is_silent_several_times_in_a_row_is_lost_in_whatever_way(
    miss: bool | Exception | None,
) -> None:
    pulse = Pulse(True, *[miss] * MISSES)

    async with asyncio.timeout(10):
        await until_lost(pulse.check, pulse.sleep, limit=0.01)

    assert pulse.slept == [PERIOD_SECONDS] * (MISSES + 1)
    assert pulse.script == []


@given(st.lists(st.booleans(), max_size=40))
def test_it_is_lost_if_and_only_if_so_many_checks_in_a_row_failed(beats: list[bool]) -> None:
    in_a_row = any(not any(beats[start : start + MISSES]) for start in range(len(beats) - MISSES + 1))

    assert asyncio.run(Pulse(*beats).is_lost()) is in_a_row
