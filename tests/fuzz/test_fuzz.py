"""Spoilt input, in the numbers that fit here: `python -m load.fuzz` feeds as many as one likes with the same code."""

import pytest

from tests.fuzz.fuzzing import fuzz
from tests.fuzz.targets import MOST_GROWN_BYTES, TARGETS

COUNT = 20_000
SEED = 3


def test_every_input_has_a_target() -> None:
    assert sum(share.percent for share in TARGETS.values()) == 100


@pytest.mark.parametrize("name", TARGETS)
async def test_no_spoilt_input_does_any_harm(name: str) -> None:
    share = TARGETS[name]

    figures = await fuzz(name, share.open, share.of(COUNT), SEED)

    assert figures.inputs == share.of(COUNT)
    assert figures.taken > figures.inputs // 20, "most stay at the door, but not nearly all"
    assert figures.grown_bytes < MOST_GROWN_BYTES
