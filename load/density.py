"""Many backends on one machine: `python -m load.density` starts 100 over HTTP with five tools each, and looks.

How long until all tools are listed, from nothing and from what the last run has kept, also when none of the servers is
there any more; how long a `tools/list` takes; and what a further backend costs in memory, from two runs of different
size whose backends share one process. The exit code is 0 only if the first answer after a restart has all tools.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from tests.support.cluster_callers import META
from tests.support.gateway_process import GatewayProcess, gateway
from tests.support.many_servers import TOOLS
from tests.support.processes import free_port, listening

MIB: Final = 1024 * 1024
LISTS: Final = 200
"""Of which the median is taken."""
PAUSE: Final = 0.05
"""Seconds between two questions to a door that does not answer yet."""
LIMIT: Final = 120.0
"""Seconds for anything that is waited for."""
SMALL: Final = 20
"""Backends of the smaller of the two runs that memory is told from."""


@dataclass(frozen=True)
class Started:
    """What was seen of one start; seconds since the command was typed."""

    opened: float
    """The door says that it is open, at `/health/live`."""
    answered: float
    """The first answer to `tools/list`."""
    first_tools: int
    """How many tools were in that."""
    listed: float
    """The first with all tools."""
    ready: float
    """The line `ready`."""


class Watch:
    """Asks for the tools from the first moment on, and notes when there is an answer, and when all are there."""

    def __init__(self, port: int, tools: int) -> None:
        self._origin = f"http://127.0.0.1:{port}"
        self._tools = tools
        self._began = time.monotonic()
        self.opened = 0.0
        self.answered = 0.0
        self.first_tools = 0
        self.listed = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until all are there.

        Raises:
            TimeoutError: they are not, in time.
        """
        self._thread.join(LIMIT)
        if not self.listed:
            raise TimeoutError(f"not all tools are listed after {LIMIT:g} s")

    def _run(self) -> None:
        with httpx.Client(trust_env=False, timeout=10.0) as client:
            while not self.listed and self._now() < LIMIT:
                try:
                    if not self.opened:
                        client.get(f"{self._origin}/health/live").raise_for_status()
                        self.opened = self._now()
                    count = tools_listed(client, f"{self._origin}/mcp")
                except (httpx.HTTPError, KeyError, ValueError):
                    time.sleep(PAUSE)
                    continue
                if not self.answered:
                    self.answered, self.first_tools = self._now(), count
                if count == self._tools:
                    self.listed = self._now()

    def _now(self) -> float:
        return time.monotonic() - self._began


def tools_listed(client: httpx.Client, url: str) -> int:
    """How many tools are in the list, all its pages.

    Raises:
        httpx.HTTPError, KeyError, ValueError: there is no list.
    """
    headers = {"accept": "application/json, text/event-stream", "mcp-method": "tools/list"}
    headers["mcp-protocol-version"] = META["io.modelcontextprotocol/protocolVersion"]  # type: ignore[assignment]
    total = 0
    params: dict[str, Any] = {"_meta": META}
    for number in itertools.count(1):
        body = {"jsonrpc": "2.0", "id": number, "method": "tools/list", "params": params}
        result = client.post(url, content=json.dumps(body), headers=headers).json()["result"]
        total += len(result["tools"])
        if "nextCursor" not in result:
            break
        params = {"_meta": META, "cursor": result["nextCursor"]}
    return total


@contextmanager
def started(
    folder: Path, origin: str, backends: int, state: Path, **options: Any
) -> Iterator[tuple[GatewayProcess, Started]]:
    """A gateway in front of so many backends, from the moment when all their tools are listed."""
    servers = {f"b{number}": {"url": f"{origin}/{number}", "type": "http"} for number in range(backends)}
    port = free_port()
    watch = Watch(port, backends * len(TOOLS))
    began = time.monotonic()
    sections = {"server": {"state_file": str(state), **options}}
    with gateway(folder, servers, sections=sections, port=port, dashboard=True) as running:
        ready = time.monotonic() - began
        watch.join()
        yield running, Started(watch.opened, watch.answered, watch.first_tools, watch.listed, ready)


def holders(running: GatewayProcess) -> list[psutil.Process]:
    """The processes that hold Backends."""
    processes = [psutil.Process(pid) for pid in running.ray_processes()]
    return [each for each in processes if each.name().startswith("ray::Backend")]


def unique_memory(processes: list[psutil.Process]) -> int:
    """Bytes that belong to these alone."""
    return sum(process.memory_full_info().uss for process in processes)


def tell(name: str, seen: Started) -> None:
    first = f"open after {seen.opened:.2f} s, first list after {seen.answered:.2f} s with {seen.first_tools} tools"
    print(f"{name}: {first}, all after {seen.listed:.1f} s, ready after {seen.ready:.1f} s", flush=True)


def measure_lists(running: GatewayProcess) -> float:
    """The median of one `tools/list`, seconds."""
    with httpx.Client(trust_env=False) as client:
        taken = []
        for _ in range(LISTS):
            began = time.perf_counter()
            tools_listed(client, running.url)
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def measure_starts(folder: Path, backends: int, options: dict[str, int]) -> bool:
    """Start three times: from nothing, from what that kept, and once more with all servers gone.

    Gives whether the first list of both restarts was the whole one.
    """
    firsts = []
    state = folder / "state.sqlite"
    with listening("tests.support.many_servers", "0") as server:
        for start in ("from nothing", "from the last run"):
            with started(folder, server.origin, backends, state, **options) as (running, seen):
                tell(f"{backends} backends, {start}", seen)
                shared = holders(running)
                print(f"{len(shared)} processes of Backends, {unique_memory(shared) / MIB:.0f} MiB of their own")
                print(f"tools/list: {measure_lists(running) * 1000:.2f} ms", flush=True)
                firsts.append(seen.first_tools)
    with started(folder, server.origin, backends, state, **options) as (_, seen):
        tell(f"{backends} backends, from the last run, their servers gone", seen)
        firsts.append(seen.first_tools)
    return firsts[1:] == [backends * len(TOOLS)] * 2


def measure_memory(folder: Path, backends: int, options: dict[str, int]) -> float:
    """Bytes that each further backend takes in a process which holds all."""
    sizes = {}
    with listening("tests.support.many_servers", "0") as server:
        for count in (SMALL, backends):
            state = folder / f"{count}.sqlite"
            with started(folder, server.origin, count, state, density=1000, **options) as (running, seen):
                sizes[count] = unique_memory(holders(running))
                tell(f"{count} backends in one process", seen)
    return (sizes[backends] - sizes[SMALL]) / (backends - SMALL)


def main() -> int:
    """Run as the command line says; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=4, help="backends that start at once")
    arguments = parser.parse_args()
    options = {"start_concurrency": arguments.concurrency}
    with tempfile.TemporaryDirectory(prefix="only1mcp-load-") as name:
        whole = measure_starts(Path(name), arguments.backends, options)
        each = measure_memory(Path(name), arguments.backends, options)
    print(f"each further backend: {each / MIB:.2f} MiB")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
