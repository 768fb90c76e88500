"""The cycle collector, calmed."""

import subprocess
import sys

SCRIPT = """
import gc
from actors.garbage import ALLOCATIONS, calm_collector
before = gc.get_threshold()
calm_collector()
assert gc.get_threshold() == (ALLOCATIONS, *before[1:])
assert gc.get_freeze_count() > 1000
assert gc.isenabled()
"""


def test_what_was_imported_is_permanent_and_the_collector_goes_on() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)
