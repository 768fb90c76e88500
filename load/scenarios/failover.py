"""A replica is killed under load: `python -m load.scenarios.failover`.

Three replicas of a server over stdio, called by clients of both eras, each ten times a second; in the middle one of
its actors is killed (SIGKILL). The table shows the answers of each half second. A call may fail only if it was on its
way when that happened, none may run twice, and no answer may be another call's: else the exit code is 1.
"""

import argparse
import asyncio
import itertools
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from load.callers import Call, Caller, connections, keep_calling
from load.calls import Era
from load.stage import NOTES, TOOL, folder_of_its_own, journal_in, notes, stage
from tests.support.cluster_actors import actors_of
from tests.support.cluster_server import Note, read_journal
from tests.support.gateway_process import GatewayProcess

STEP: Final = 0.5
"""Seconds."""

REPLICAS: Final = 3
VICTIM: Final = f"Backend:{NOTES}:1"

NOTICED_SECONDS: Final = 0.5
"""So long after the kill calls may still be sent to the one that is gone."""

EVERY: Final = 0.1
"""Seconds from one call of a client to its next: a load that is not all the machine can do, or only that would show."""

BACK_SHARE: Final = 0.9
"""Of the rate before the kill, at which it counts as back: steps differ a little without any kill."""

STAY: Final = 4
"""Steps in a row at that rate."""

WARM_UP_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Step:
    """Half a second; `at` is its beginning, in seconds after the kill."""

    at: float
    right: int
    failed: int
    slowest: float
    """Seconds, of the calls that ended in it."""


def steps(calls: Sequence[Call], killed_at: float, before: float, after: float) -> list[Step]:
    """The calls by the half second in which they ended."""
    found = []
    for number in range(round(-before / STEP), round(after / STEP)):
        begin = killed_at + number * STEP
        ended = [call for call in calls if begin <= call.ended < begin + STEP]
        right = sum(not call.trouble for call in ended)
        slowest = max((call.ended - call.began for call in ended), default=0.0)
        found.append(Step(number * STEP, right, len(ended) - right, slowest))
    return found


def back_after(found: Sequence[Step]) -> float | None:
    """Seconds from the kill until the rate of before has come to stay for a while; nothing if it has not."""
    usual = BACK_SHARE * statistics.median(step.right for step in found if step.at < 0)
    later = [step for step in found if step.at >= 0]
    for number in range(len(later) - STAY + 1):
        if min(step.right for step in later[number : number + STAY]) >= usual:
            return later[number].at
    return None


async def fire(running: GatewayProcess, callers: int, before: float, after: float) -> tuple[list[Call], float]:
    """All calls, and when the replica was killed."""
    calls: list[Call] = []
    victim = await actors_of(running).one(VICTIM)
    async with connections() as http:
        crowd = [Caller(http, running.url, TOOL, Era.LEGACY if number % 2 else Era.MODERN) for number in range(callers)]
        await asyncio.gather(*(caller.open() for caller in crowd))
        begun = time.monotonic()
        until = begun + WARM_UP_SECONDS + before + after
        async with asyncio.TaskGroup() as group:
            for caller in crowd:
                group.create_task(keep_calling(caller, calls, until, EVERY))
            await asyncio.sleep(WARM_UP_SECONDS + before)
            killed_at = time.monotonic()
            victim.kill()
    return calls, killed_at


def report(calls: Sequence[Call], notes_taken: Sequence[Note], killed_at: float, found: Sequence[Step]) -> int:
    """Print the table and what is to be said of it; gives the exit code."""
    print(f"{'s after the kill':>16} {'answers/s':>10} {'failed':>7} {'slowest ms':>11}")
    for step in found:
        print(f"{step.at:>+16.1f} {step.right / STEP:>10,.0f} {step.failed:>7} {step.slowest * 1000:>11.0f}")
    failed = [call for call in calls if call.trouble]
    wrong = [call for call in calls if call.wrong]
    strange = [
        call
        for call in failed
        if not call.began - NOTICED_SECONDS < killed_at < call.ended  # not under way then
    ]
    twice = [text for text, times in Counter(note.text for note in notes_taken).items() if times > 1]
    back = back_after(found)
    print(f"calls {len(calls):,}, failed {len(failed)}, of them not under way at the kill {len(strange)}")
    for reason, count in Counter(call.trouble for call in failed).most_common():
        print(f"  failed, {count} times: {reason}")
    print(f"wrong answers {len(wrong)}, run twice {len(twice)}")
    print(f"longest time without an answer {longest_gap(calls, killed_at) * 1000:.0f} ms")
    print("the rate did not come back" if back is None else f"the rate was back after {back:.1f} s")
    print(f"replicas that answered in the last two seconds: {len(answering(calls, notes_taken))}")
    return int(bool(wrong or strange or twice) or back is None)


def longest_gap(calls: Sequence[Call], since: float) -> float:
    """The longest time without a right answer that ended after a moment, in seconds."""
    ends = sorted(call.ended for call in calls if not call.trouble)
    return max((late - early for early, late in itertools.pairwise(ends) if late > since), default=0.0)


def answering(calls: Sequence[Call], notes_taken: Sequence[Note]) -> set[int]:
    """The processes that ran the calls of the last two seconds."""
    last = max(call.ended for call in calls)
    texts = {call.text for call in calls if call.began > last - 2.0 and not call.trouble}
    return {note.pid for note in notes_taken if note.text in texts}


def run(folder: Path, callers: int, before: float, after: float) -> int:
    """The whole scenario; gives the exit code."""
    with stage({NOTES: notes(folder, replicas=REPLICAS)}, folder, REPLICAS) as running:
        calls, killed_at = asyncio.run(fire(running, callers, before, after))
        return report(calls, read_journal(journal_in(folder)), killed_at, steps(calls, killed_at, before, after))


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=24)
    parser.add_argument("--before", type=float, default=4.0, help="seconds until the kill, after a warm-up")
    parser.add_argument("--after", type=float, default=10.0, help="seconds after it")
    arguments = parser.parse_args()
    with folder_of_its_own() as folder:
        return run(folder, arguments.callers, arguments.before, arguments.after)


if __name__ == "__main__":
    sys.exit(main())
