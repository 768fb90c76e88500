"""Keeps Python's cycle collector off the path of requests."""

import gc
from typing import Final

ALLOCATIONS: Final = 20_000
"""New objects between two looks at the youngest generation, 700 by default: a request makes hundreds, nearly all of
which go by reference count, and at 700 the collector took a twentieth of the time of a busy process."""


def calm_collector() -> None:
    """Take what is there now for permanent, and look for cycles less often. To be called once, after the imports."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS, *gc.get_threshold()[1:])
