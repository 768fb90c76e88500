"""A gateway whose backends have several replicas each, for tests of what becomes of the traffic to them."""

import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from serve_app.admin.pass_file import pass_path, read_pass
from tests.support.cluster_actors import ENVIRON, Actors, actors_of
from tests.support.cluster_callers import Call, Load, Target, under_load
from tests.support.cluster_server import Note, read_journal
from tests.support.gateway_process import GatewayProcess, gateway
from tests.support.processes import ROOT, descendants, eventually, listening
from tests.support.traffic_server import reads_of

Json = dict[str, Any]

POOL: Final = 3
"""Servers in the pools."""

INGRESS_REPLICAS: Final = 2

POOL_READ: Final = Target("pool__read", {"delay_ms": 20})
POOL_NOTE: Final = Target("pool__note", {"delay_ms": 20})
QUICK_READ: Final = Target("quick__read", {"delay_ms": 20})
TRIO: Final = Target("trio__note", {"delay_ms": 20})
BOUND: Final = Target("bound__note", {"delay_ms": 20})
STEADY: Final = Target("steady__note", {"delay_ms": 20})
SHIFTING: Final = Target("shifting__note", {"delay_ms": 20})
ELASTIC: Final = Target("elastic__note", {"delay_ms": 100})
SLEEPY: Final = Target("sleepy__note")

HASTE: Final = {"open_seconds": 1.0, "max_open_seconds": 2.0}
"""Breakers that are closed again while a test waits."""


@dataclass
class PoolServer:
    """One of the servers of the pools, which can be killed and started again where it was."""

    journal: Path
    port: int = 0
    pid: int = 0
    _stack: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Start it, on the port that it had."""
        self._stack.close()
        running = self._stack.enter_context(
            listening("tests.support.traffic_server", str(self.journal), str(self.port))
        )
        self.port, self.pid = running.port, running.pid

    def kill(self) -> None:
        """End it in the way nothing can prepare for."""
        os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it."""
        self._stack.close()

    @property
    def url(self) -> str:
        """Its MCP endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"

    async def feel(self, **mood: Any) -> None:
        """Have it slow, or answer garbage; without arguments, have it well."""
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.post(f"http://127.0.0.1:{self.port}/mood", json=mood)).raise_for_status()


@dataclass
class Traffic:
    """One gateway, and what a test does with it."""

    running: GatewayProcess
    actors: Actors
    journal: Path
    pool: list[PoolServer]
    _texts: Iterator[int] = field(default_factory=count)

    def text(self) -> str:
        """A text that no other call has."""
        return f"text-{next(self._texts)}"

    def notes(self) -> list[Note]:
        """Every call of a `note`, of any server."""
        return read_journal(self.journal)

    def reads(self) -> Counter[int]:
        """How many calls of `read` each server has seen, by process."""
        return Counter(note.pid for note in read_journal(reads_of(self.journal)))

    def ran_twice(self) -> list[str]:
        """The texts of notes that were written more often than asked for: there must be none, ever."""
        return [text for text, times in Counter(note.text for note in self.notes()).items() if times > 1]

    def servers_under(self, pid: int) -> set[int]:
        """The MCP server processes that hang on an actor's process."""
        return set(descendants(pid)) & set(self.running.servers())

    async def servers(self) -> dict[str, Json]:
        """What the admin API says of each server; nothing as long as the gateway has not written its pass."""
        held = read_pass(pass_path(self.running.port))
        if held is None:
            return {}
        async with httpx.AsyncClient(timeout=20.0, trust_env=False) as client:
            page = await client.get(
                f"{held.url}/api/v1/admin/servers", headers={"authorization": f"Bearer {held.token}"}
            )
        page.raise_for_status()
        return {server["name"]: server for server in page.json()["servers"]}

    async def states(self, name: str) -> list[str]:
        """The states of the replicas of a server."""
        return [replica["state"] for replica in (await self.servers())[name]["replicas"]]

    async def whole(self, seconds: float = 60.0) -> None:
        """Wait until every server has as many replicas as it shall have, all up, and none beside them."""

        async def all_there() -> bool:
            try:
                servers = await self.servers()
            except httpx.HTTPError:
                return False
            return bool(servers) and all(is_whole(server) for server in servers.values())

        await eventually(all_there, seconds)

    @asynccontextmanager
    async def load(self, *targets: Target, callers: int = 16) -> AsyncIterator[Load]:
        """Callers of these targets, from a moment when everything is up."""
        await self.whole()
        async with under_load(self.running.url, "", targets, callers=callers, texts=self.text) as load:
            await eventually(lambda: len(load.calls) >= 6 * callers, 30)
            yield load

    def open_files(self) -> dict[str, int]:
        """How many files the processes of each kind have open together."""
        files: Counter[str] = Counter()
        for pid in self.running.ray_processes():
            try:
                process = psutil.Process(pid)
                files[process.name()] += process.num_fds()
            except psutil.NoSuchProcess:
                continue
        return dict(files)


def is_whole(server: Json) -> bool:
    """Whether it has the replicas that it shall have, all up, and no others."""
    return [each["state"] for each in server["replicas"]] == ["up"] * server["wanted_replicas"]


def longest_pause(calls: Sequence[Call], since: float, until: float) -> float:
    """The longest time in which none of these calls ended, seconds."""
    ends = sorted(call.ended for call in calls if since < call.ended < until)
    return max(later - earlier for earlier, later in pairwise([since, *ends, until]))


@contextmanager
def traffic_in(folder: Path) -> Iterator[Traffic]:
    """A gateway with two ingress replicas in front of pools over HTTP and of servers over stdio."""
    journal = folder / "journal"
    stdio = {"command": sys.executable, "args": ["-S", str(ROOT / "tests/support/cluster_server.py"), str(journal)]}
    pool = [PoolServer(journal) for _ in range(POOL)]
    with ExitStack() as stack:
        for server in pool:
            stack.callback(server.stop)
            server.start()
        urls = [server.url for server in pool]
        servers: dict[str, Json] = {
            "pool": {"urls": urls, "breaker": HASTE, "ejection": {"seconds": 1.0}},
            "quick": {"urls": urls, "balancer": "peak_ewma", "breaker": HASTE, "ejection": {"seconds": 1.0}},
            "trio": {**stdio, "replicas": 3, "resources": {"num_cpus": 0.01}},
            "bound": {**stdio, "replicas": 2, "sticky": "hard", "resources": {"num_cpus": 0.01}, "breaker": HASTE},
            "steady": stdio,
            "shifting": {"url": urls[0], "timeout": 50},
            "elastic": {
                "url": urls[1],
                "replicas": {"min": 1, "max": 4, "target_in_flight": 2, "idle_timeout": 3},
            },
            "sleepy": {"url": urls[2], "replicas": {"min": 0, "max": 1, "idle_timeout": 2}},
        }
        sections = {"server": {"replicas": INGRESS_REPLICAS, "density": 4, "drain_seconds": 5}}
        with gateway(folder, servers, sections=sections, environ=ENVIRON, dashboard=True) as running:
            yield Traffic(running, actors_of(running), journal, pool)
