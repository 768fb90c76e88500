"""Sessions keep their replica, and hear of its loss: `python -m load.scenarios.sticky`.

Three replicas of a server over stdio with `sticky: hard`. Half of the sessions are at `/mcp`, half at the endpoint of
the server. All of them call; then the replica that has most of them is killed, and all call again until they have an
answer, and on. A session that is at two replicas while none is killed, one that hears of the loss in another way than
its endpoint's, or more than once, and an answer of another call make the exit code 1.
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
from typing import Final

from load.callers import Call, Caller, connections
from load.calls import Era
from load.stage import NOTES, TOOL, folder_of_its_own, journal_in, notes, stage
from tests.support.cluster_actors import Actors, actors_of
from tests.support.cluster_server import read_journal
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import descendants

REPLICAS: Final = 3

LOST: Final = "session_lost"
ENDED: Final = "status 404"

NOT_YET: Final = frozenset({"disconnected", "unavailable"})
"""What calls may be told until the loss is known: they may have run, or were not sent."""

TOLD: Final = {True: [LOST], False: [ENDED]}
"""How a session hears of the loss at `/mcp`, and at the endpoint of one server."""

ATTEMPTS: Final = 20
"""How often a session calls after the loss until it has an answer."""

PAUSE_SECONDS: Final = 0.2


@dataclass
class Session:
    """One client with one session, and what it was told after the loss."""

    caller: Caller
    aggregate: bool
    calls: list[Call] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    async def ask(self, count: int) -> None:
        """Call so many times."""
        for _ in range(count):
            self.calls.append(await self.caller.call())

    async def ask_until_answered(self) -> None:
        """Call until there is an answer; a session that has ended is opened again."""
        for _ in range(ATTEMPTS):
            call = await self.caller.call()
            self.calls.append(call)
            if not call.trouble:
                return
            self.told.append(call.trouble)
            if call.trouble == ENDED:
                await self.caller.open()
            elif call.trouble != LOST:
                await asyncio.sleep(PAUSE_SECONDS)

    @property
    def told_well(self) -> bool:
        """Whether it heard of the loss as it should."""
        known = list(itertools.dropwhile(NOT_YET.__contains__, self.told))
        return known == TOLD[self.aggregate]


@dataclass
class Findings:
    """What was seen; processes by their ids."""

    spread: Counter[int]
    moved: int
    """Sessions at more than one replica while none was killed."""
    lost: list[Session]
    """Those of the replica that was killed."""
    disturbed: int
    """Others that were told of anything, or are elsewhere now."""
    spread_after: Counter[int]
    seconds: float
    """From the kill until every session had an answer."""


async def play(running: GatewayProcess, folder: Path, count: int, calls: int) -> tuple[list[Session], Findings]:
    """The whole course."""
    actors = actors_of(running)
    async with connections() as http:
        crowd = [
            Session(Caller(http, running.url, TOOL, Era.LEGACY), True)
            if number % 2
            else Session(Caller(http, running.server_url(NOTES), "note", Era.LEGACY), False)
            for number in range(count)
        ]
        await asyncio.gather(*(session.caller.open() for session in crowd))
        await asyncio.gather(*(session.ask(calls) for session in crowd))
        before = places(crowd, folder)
        spread = Counter(pid for pids in before for pid in pids)
        victim = spread.most_common(1)[0][0]
        await kill_actor_of(actors, victim)
        killed_at = time.monotonic()
        for session in crowd:
            session.calls.clear()
        await asyncio.gather(*(session.ask_until_answered() for session in crowd))
        seconds = time.monotonic() - killed_at
        await asyncio.gather(*(session.ask(calls) for session in crowd))
        after = places(crowd, folder)
    lost = [session for session, pids in zip(crowd, before, strict=True) if victim in pids]
    stayed = [trio for trio in zip(crowd, before, after, strict=True) if victim not in trio[1]]
    disturbed = sum(bool(session.told) or then != now for session, then, now in stayed)
    moved = sum(len(pids) != 1 for pids in (*before, *after))
    spread_after = Counter(pid for pids in after for pid in pids)
    return crowd, Findings(spread, moved, lost, disturbed, spread_after, seconds)


def places(crowd: Sequence[Session], folder: Path) -> list[set[int]]:
    """The processes that answered each session's calls."""
    ran = {note.text: note.pid for note in read_journal(journal_in(folder))}
    return [{ran[call.text] for call in session.calls if not call.trouble} for session in crowd]


async def kill_actor_of(actors: Actors, server: int) -> None:
    """Kill the actor under which a server's process runs."""
    for actor in await actors.alive():
        if actor.name.startswith(f"Backend:{NOTES}:") and server in descendants(actor.pid):
            actor.kill()
            return
    raise RuntimeError(f"no actor has the process {server}")


def report(crowd: Sequence[Session], found: Findings) -> int:
    """Print what was seen; gives the exit code."""
    wrong = sum(call.wrong for session in crowd for call in session.calls)
    print(f"sessions {len(crowd)}, by replica {_counts(found.spread)}; moved {found.moved}, wrong answers {wrong}")
    print(f"killed: the replica of {len(found.lost)} sessions; others disturbed: {found.disturbed}")
    print(f"{'of them at':<19} {'sessions':>8} {'bound anew':>10}  what they were told")
    trouble = bool(wrong or found.moved or found.disturbed)
    for aggregate, name in ((True, "/mcp"), (False, f"/servers/{NOTES}/mcp")):
        group = [session for session in found.lost if session.aggregate is aggregate]
        anew = sum(not session.calls[-1].trouble for session in group)
        told = Counter(reason for session in group for reason in session.told)
        words = ", ".join(f"{reason} {times} times" for reason, times in told.most_common())
        print(f"{name:<19} {len(group):>8} {anew:>10}  {words}")
        trouble = trouble or anew < len(group) or not all(session.told_well for session in group)
    print(
        f"all had an answer {found.seconds:.1f} s after the kill; by replica afterwards {_counts(found.spread_after)}"
    )
    return int(trouble)


def _counts(spread: Counter[int]) -> str:
    return ", ".join(str(count) for _, count in spread.most_common())


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=90)
    parser.add_argument("--calls", type=int, default=20, help="of each session, before and after the kill")
    arguments = parser.parse_args()
    with folder_of_its_own() as folder:
        servers = {NOTES: notes(folder, replicas=REPLICAS, sticky="hard")}
        with stage(servers, folder, REPLICAS) as running:
            return report(*asyncio.run(play(running, folder, arguments.sessions, arguments.calls)))


if __name__ == "__main__":
    sys.exit(main())
