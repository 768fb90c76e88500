"""Many backends on one machine: `python -m load.density` starts 100 over HTTP with five tools each, and looks.

How long until all tools are listed, from nothing and from what the last run has kept; how long a `tools/list` takes;
and what a further backend costs in memory, from two runs of different size whose backends share one process.
"""

import argparse
import itertools
import json
import statistics
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
from tests.support.processes import Listening, free_port, listening

MIB: Final = 1024 * 1024
LISTS: Final = 200
"""Of which the median is taken."""
LIMIT: Final = 120.0
"""Seconds for anything that is waited for."""
SMALL: Final = 20
"""Backends of the smaller of the two runs that memory is told from."""


@dataclass(frozen=True)
class Started:
    """What was seen of one start; seconds since the command was typed."""

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
        self._url = f"http://127.0.0.1:{port}/mcp"
        self._tools = tools
        self._began = time.monotonic()
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
            while not self.listed and time.monotonic() - self._began < LIMIT:
                try:
                    count = tools_listed(client, self._url)
                except (httpx.HTTPError, KeyError, ValueError):
                    time.sleep(0.1)
                    continue
                now = time.monotonic() - self._began
                if not self.answered:
                    self.answered, self.first_tools = now, count
                if count == self._tools:
                    self.listed = now


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
    folder: Path, server: Listening, backends: int, state: Path, **options: Any
) -> Iterator[tuple[GatewayProcess, Started]]:
    """A gateway in front of so many backends, from the moment when all their tools are listed."""
    servers = {f"b{number}": {"url": f"{server.origin}/{number}", "type": "http"} for number in range(backends)}
    port = free_port()
    watch = Watch(port, backends * len(TOOLS))
    began = time.monotonic()
    sections = {"server": {"state_file": str(state), **options}}
    with gateway(folder, servers, sections=sections, port=port) as running:
        ready = time.monotonic() - began
        watch.join()
        yield running, Started(watch.answered, watch.first_tools, watch.listed, ready)


def holders(running: GatewayProcess) -> list[psutil.Process]:
    """The processes that hold Backends."""
    processes = [psutil.Process(pid) for pid in running.ray_processes()]
    return [each for each in processes if each.name().startswith("ray::Backend")]


def unique_memory(processes: list[psutil.Process]) -> int:
    """Bytes that belong to these alone."""
    return sum(process.memory_full_info().uss for process in processes)


def tell(name: str, seen: Started) -> None:
    first = f"first answer after {seen.answered:.1f} s with {seen.first_tools} tools"
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


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=4, help="backends that start at once")
    arguments = parser.parse_args()
    backends, options = arguments.backends, {"start_concurrency": arguments.concurrency}
    with (
        tempfile.TemporaryDirectory(prefix="only1mcp-load-") as name,
        listening("tests.support.many_servers", "0") as server,
    ):
        folder = Path(name)
        for start in ("from nothing", "from the last run"):
            with started(folder, server, backends, folder / "state.sqlite", **options) as (running, seen):
                tell(f"{backends} backends, {start}", seen)
                shared = holders(running)
                print(f"{len(shared)} processes of Backends, {unique_memory(shared) / MIB:.0f} MiB of their own")
                print(f"tools/list: {measure_lists(running) * 1000:.2f} ms", flush=True)
        sizes = {}
        for count in (SMALL, backends):
            with started(folder, server, count, folder / f"{count}.sqlite", density=1000, **options) as (running, seen):
                sizes[count] = unique_memory(holders(running))
                tell(f"{count} backends in one process", seen)
        each = (sizes[backends] - sizes[SMALL]) / (backends - SMALL)
        print(f"each further backend: {each / MIB:.2f} MiB")


if __name__ == "__main__":
    main()
