"""What the gateway costs: the same calls to a server directly and through the gateway, in turns, in one run.

    python -m load.compare --gateway URL --direct URL --tool NAME --concurrency 1,16,64 --seconds 5 --rounds 3

Absolute figures drift with the machine; that is why both are measured beside each other, and the ratios are the
result. Every answer is checked; with a single wrong one the exit code is 1.
"""

import argparse
import asyncio
import gc
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final
from urllib.parse import urlsplit

import uvloop

from load.calls import Era, Wire
from load.http_client import ClosedLoop, Measured

CONNECT_SECONDS: Final = 10.0
WARM_UP_SECONDS: Final = 0.5
MAX_CONCURRENCY: Final = 1024
MAX_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where calls go, and which tool they ask for."""

    name: str
    url: str
    tool: str
    credential: str = ""
    """The value of `Authorization`, if it wants one."""


@dataclass(frozen=True, slots=True)
class Round:
    """One target, measured once."""

    calls: int
    rate: float
    """Right answers a second."""
    p50: float
    """Seconds."""
    p99: float
    """Seconds."""
    failures: Counter[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    targets: Sequence[Target]
    """The first is what the others are compared with."""
    era: Era = Era.MODERN
    concurrency: Sequence[int] = (1, 16, 64)
    seconds: float = 5.0
    rounds: int = 3
    text_bytes: int = 64


Results = dict[int, dict[str, list[Round]]]
"""By concurrency, then by target."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed; not a number if there are none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


async def measure(target: Target, plan: Plan, concurrency: int, clock: Callable[[], float]) -> Round:
    """Call one target over so many connections at once, after a warm-up.

    Raises:
        OSError: it could not be reached, or a session could not be opened.
    """
    connections = await asyncio.gather(*(_connection(target, plan, number, clock) for number in range(concurrency)))
    try:
        warm = await asyncio.gather(*(one.run(min(WARM_UP_SECONDS, plan.seconds)) for one in connections))
        gc.collect()
        begun = clock()
        measured = await asyncio.gather(*(one.run(plan.seconds) for one in connections))
        took = clock() - begun
    finally:
        for connection in connections:
            connection.close()
    total = Measured()
    for one in measured:
        total.merge(one)
    for one in warm:
        total.failures += one.failures
    latencies = sorted(total.latencies)
    rate = len(latencies) / took
    return Round(len(latencies), rate, percentile(latencies, 0.5), percentile(latencies, 0.99), total.failures)


async def _connection(target: Target, plan: Plan, number: int, clock: Callable[[], float]) -> ClosedLoop:
    parts = urlsplit(target.url)
    first_id = number * 1_000_000_000 + 1
    wire = Wire(plan.era, target.tool, first_id=first_id, text_bytes=plan.text_bytes, credential=target.credential)
    host, port = parts.hostname or "", parts.port or 80
    _, connection = await asyncio.wait_for(
        asyncio.get_running_loop().create_connection(
            lambda: ClosedLoop(wire, f"{host}:{port}", parts.path or "/", clock), host, port
        ),
        CONNECT_SECONDS,
    )
    try:
        await connection.open(plan.era)
    except BaseException:
        connection.close()
        raise
    return connection


async def compare(plan: Plan, clock: Callable[[], float] = time.perf_counter) -> Results:
    """Measure all targets in turns, each time in the other order, for every concurrency.

    Raises:
        OSError: a target could not be reached.
    """
    results: Results = {}
    for concurrency in plan.concurrency:
        rounds: dict[str, list[Round]] = {target.name: [] for target in plan.targets}
        for number in range(plan.rounds):
            for target in plan.targets if number % 2 == 0 else reversed(plan.targets):
                rounds[target.name].append(await measure(target, plan, concurrency, clock))
        results[concurrency] = rounds
    return results


def report(plan: Plan, results: Results) -> str:
    """A table with the median of the rounds, for people."""
    lines = [
        f"{plan.era} era, {plan.rounds} rounds of {plan.seconds:g} s in turns, medians, every answer checked",
        f"{'at once':>7}  {'target':<10} {'calls/s':>9} {'p50 ms':>9} {'p99 ms':>9} {'wrong':>6}  compared",
    ]
    failures: Counter[str] = Counter()
    for concurrency, rounds in results.items():
        base: tuple[float, float] | None = None
        for name, measured in rounds.items():
            rate, p50, p99 = (median(getattr(one, key) for one in measured) for key in ("rate", "p50", "p99"))
            wrong = sum((one.failures for one in measured), Counter[str]())
            failures += Counter({f"{name}: {reason}": count for reason, count in wrong.items()})
            row = f"{concurrency:>7}  {name:<10} {rate:>9,.0f} {p50 * 1e3:>9.3f} {p99 * 1e3:>9.3f} {wrong.total():>6}"
            if base is None:
                base = rate, p50
            elif base[0] > 0:
                row += f"  rate x {rate / base[0]:.3f}, p50 x {p50 / base[1]:.2f}, {(p50 - base[1]) * 1e3:+.3f} ms"
            lines.append(row.rstrip())
    lines += [f"wrong, {count} times: {reason}" for reason, count in failures.most_common()]
    return "\n".join(lines)


def is_clean(results: Results) -> bool:
    """Whether every round had answers, and only right ones."""
    every = [one for rounds in results.values() for measured in rounds.values() for one in measured]
    return all(one.calls > 0 and not one.failures for one in every)


def run(plan: Plan) -> int:
    """Measure and print; the exit code is 0 if every answer was right."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results = runner.run(compare(plan))
    print(report(plan, results), flush=True)
    return 0 if is_clean(results) else 1


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every command which runs a plan has."""
    parser.add_argument("--concurrency", type=_numbers, default=(1, 16, 64), metavar="N,N,…")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--era", type=Era, choices=list(Era), default=Era.MODERN)
    parser.add_argument("--text-bytes", type=int, default=64, help="length of the text that is echoed")


def plan_of(arguments: argparse.Namespace, targets: Sequence[Target]) -> Plan:
    """The plan that the options of `add_plan_arguments` ask for.

    Raises:
        ValueError: a number is out of bounds, or a URL is not plain HTTP.
    """
    if not 0 < arguments.seconds <= MAX_SECONDS or arguments.rounds < 1:
        raise ValueError(f"--seconds lie in 0…{MAX_SECONDS:g} and --rounds are at least 1")
    if not all(1 <= concurrency <= MAX_CONCURRENCY for concurrency in arguments.concurrency):
        raise ValueError(f"--concurrency lies in 1…{MAX_CONCURRENCY}")
    for target in targets:
        if urlsplit(target.url).scheme != "http" or not urlsplit(target.url).hostname:
            raise ValueError(f"--{target.name} has to be an http:// URL")
    return Plan(
        targets, arguments.era, arguments.concurrency, arguments.seconds, arguments.rounds, arguments.text_bytes
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direct", required=True, metavar="URL", help="the MCP endpoint of the server itself")
    parser.add_argument("--gateway", metavar="URL", help="the endpoint of the gateway; without it only --direct runs")
    parser.add_argument("--tool", default="echo__echo", help="the tool's name at the gateway")
    parser.add_argument("--direct-tool", default="echo", help="the tool's name at the server")
    add_plan_arguments(parser)
    arguments = parser.parse_args()
    targets = [Target("direct", arguments.direct, arguments.direct_tool)]
    if arguments.gateway is not None:
        targets.append(Target("gateway", arguments.gateway, arguments.tool))
    try:
        plan = plan_of(arguments, targets)
        return run(plan)
    except (OSError, ValueError) as error:
        print(f"load.compare: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
