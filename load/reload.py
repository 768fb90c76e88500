"""Reloads under load: `python -m load.reload` does a hundred, checks every answer, and looks for leaks."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.support.traffic import POOL_READ, SHIFTING, STEADY, Traffic, traffic_in
from tests.support.traffic_reload import holding, left_behind, reload_with, settled, versions


async def measure(traffic: Traffic, reloads: int) -> int:
    """Reload so often; returns the exit code, 1 for a failed call, a call that ran twice, or a leak."""
    await traffic.whole()
    changing = versions(traffic.running.configured)
    for _ in range(2):
        await reload_with(traffic, next(changing))
    before = await holding(traffic)
    taken = []
    async with traffic.load(STEADY, SHIFTING, POOL_READ) as load:
        for _ in range(reloads):
            began = time.monotonic()
            await reload_with(traffic, next(changing))
            taken.append(time.monotonic() - began)
    leaks = left_behind(before, await settled(traffic, before))
    twice = traffic.ran_twice()
    print(f"{reloads} reloads, each applied and up after {median(taken):.1f} s (at most {max(taken):.1f} s)")
    print(f"{len(load.calls)} calls, {len(load.troubled)} failed, {len(twice)} ran twice")
    print(f"left behind: {leaks or 'nothing'}")
    for call in load.troubled[:10]:
        print(call)
    return 1 if load.troubled or twice or leaks else 0


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--reloads", type=int, default=100, help="an even number: the last file is like the second then"
    )
    reloads: int = parser.parse_args().reloads
    with tempfile.TemporaryDirectory(prefix="only1mcp-load-") as folder, traffic_in(Path(folder)) as traffic:
        return asyncio.run(measure(traffic, reloads))


if __name__ == "__main__":
    sys.exit(main())
