"""Ten times the callers for ten seconds: `python -m load.scenarios.spike`.

One server has limits (`concurrency_limit`, `queue_limit`) and one to three replicas, each call takes 50 ms; another
server has none of this, and a few callers all the time. Who is refused comes back when told. The table shows both by
phases. A refusal that does not say when to come back, any other failure, or an answer of another call makes the exit
code 1.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from load.callers import Call, Caller, connections, keep_calling, latency
from load.stage import NOTES, TOOL, folder_of_its_own, journal_in, notes, stage
from tests.support.cluster_server import read_journal
from tests.support.gateway_process import GatewayProcess, module

OTHER: Final = "other"
OTHER_CALLERS: Final = 4
FACTOR: Final = 10
DELAY_MS: Final = 50
LIMITS: Final[dict[str, Any]] = {
    "replicas": {"min": 1, "max": 3, "target_in_flight": 8},
    "concurrency_limit": 8,
    "queue_limit": 8,
    "queue_seconds": 1,
}
REFUSED: Final = "busy"


@dataclass
class Crowd:
    """All callers of a run, and their calls."""

    calls: list[Call] = field(default_factory=list)
    others: list[Call] = field(default_factory=list)
    """Those to the server beside."""


async def play(running: GatewayProcess, callers: int, calm: float, spike: float) -> tuple[Crowd, list[float]]:
    """The calls, and the moments that divide the phases: calm, the spike in two halves, calm again."""
    crowd = Crowd()
    async with connections() as http:
        start = time.monotonic()
        lengths = (calm, spike / 2, spike / 2, calm)
        moments = list(itertools.accumulate(lengths, initial=start))
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(keep_calling(_caller(http, running), crowd.calls, moments[-1]))
            for _ in range(OTHER_CALLERS):
                beside = Caller(http, running.url, f"{OTHER}__echo")
                group.create_task(keep_calling(beside, crowd.others, moments[-1]))
            await asyncio.sleep(calm)
            for _ in range(callers * (FACTOR - 1)):
                group.create_task(keep_calling(_caller(http, running), crowd.calls, moments[-2]))
    return crowd, moments


def _caller(http: aiohttp.ClientSession, running: GatewayProcess) -> Caller:
    return Caller(http, running.url, TOOL, delay_ms=DELAY_MS)


def report(crowd: Crowd, moments: Sequence[float], callers: int, ran: dict[str, int]) -> int:
    """Print the table; gives the exit code. `ran` says in which process a call ran."""
    print(
        f"{'phase':<16} {'callers':>7} {'served/s':>9} {'shed':>6} {'p50 ms':>7} {'p99 ms':>7} {'replicas':>8}"
        f" | {'other/s':>8} {'p50 ms':>7} {'p99 ms':>7}"
    )
    names = ("before", "spike, 1st half", "spike, 2nd half", "after")
    for number, (name, (begin, end)) in enumerate(zip(names, itertools.pairwise(moments), strict=True)):
        mine = [call for call in crowd.calls if begin <= call.ended < end]
        beside = [call for call in crowd.others if begin <= call.ended < end]
        served = [call for call in mine if not call.trouble]
        shed = sum(call.trouble == REFUSED for call in mine)
        replicas = len({ran[call.text] for call in served})
        print(
            f"{name:<16} {callers * (FACTOR if number in (1, 2) else 1):>7} {len(served) / (end - begin):>9,.0f}"
            f" {shed:>6} {latency(mine, 0.5):>7.0f} {latency(mine, 0.99):>7.0f} {replicas:>8}"
            f" | {len(beside) / (end - begin):>8,.0f} {latency(beside, 0.5):>7.1f} {latency(beside, 0.99):>7.1f}"
        )
    shed_calls = [call for call in crowd.calls if call.trouble == REFUSED]
    silent = sum(call.retry_after is None for call in shed_calls)
    unlike = [call for call in crowd.calls if call.trouble not in ("", REFUSED)]
    unlike += [call for call in crowd.others if call.trouble]
    failed = Counter(f"{call.trouble} {call.detail}" for call in unlike)
    print(f"served {sum(not call.trouble for call in crowd.calls):,}, shed {len(shed_calls)}, without a time {silent}")
    if shed_calls:
        slowest = max(call.ended - call.began for call in shed_calls)
        print(f"a refusal took {slowest * 1000:.0f} ms at most")
    for reason, count in failed.most_common():
        print(f"failed, {count} times: {reason}")
    return int(bool(silent or failed))


def run(folder: Path, callers: int, calm: float, spike: float) -> int:
    """The whole scenario; gives the exit code."""
    servers = {NOTES: notes(folder, **LIMITS), OTHER: module("tests.support.echo_server", "--stdio")}
    with stage(servers, folder, len(servers)) as running:
        crowd, moments = asyncio.run(play(running, callers, calm, spike))
        ran = {note.text: note.pid for note in read_journal(journal_in(folder))}
        return report(crowd, moments, callers, ran)


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=4, help="before and after; ten times as many in the spike")
    parser.add_argument("--calm", type=float, default=5.0, help="seconds before, and after")
    parser.add_argument("--spike", type=float, default=10.0, help="seconds")
    arguments = parser.parse_args()
    with folder_of_its_own() as folder:
        return run(folder, arguments.callers, arguments.calm, arguments.spike)


if __name__ == "__main__":
    sys.exit(main())
