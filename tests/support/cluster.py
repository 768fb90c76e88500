"""A gateway of several replicas under fire: callers in front of it, a journal behind it, its actors within reach."""

import itertools
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from actors.core.api_key import hash_of
from tests.support.cluster_actors import CONTROLLER, ENVIRON, INGRESS, Actor, Actors, actors_of
from tests.support.cluster_callers import Caller, Load, Target, under_load
from tests.support.cluster_server import Note, read_journal
from tests.support.gateway_process import GatewayProcess, chaos, gateway
from tests.support.processes import ROOT, descendants, eventually, listening

KEYS: Final = {"callers": "o1m_callers", "late": "o1m_late"}
"""API keys: one that everybody uses, one that nobody has used before."""

PAIR: Final = Target("pair__note", {"delay_ms": 40})
FIXTURE: Final = Target("fixture__echo")
CHAOS: Final = Target("chaos__echo", {"delay_ms": 20})

BACKEND_REPLICAS: Final = 5
INGRESS_REPLICAS: Final = 2


@dataclass
class Cluster:
    """One gateway, and what a test does with it."""

    running: GatewayProcess
    actors: Actors
    journal: Path
    _texts: Iterator[int] = field(default_factory=itertools.count)

    def text(self) -> str:
        """A text that no other call has."""
        return f"text-{next(self._texts)}"

    def notes(self) -> list[Note]:
        """Every call that ran on `pair` or `asking`."""
        return read_journal(self.journal)

    def ran_twice(self) -> list[str]:
        """The texts of calls that ran on these more often than they were made: there must be none, ever."""
        return [text for text, times in Counter(note.text for note in self.notes()).items() if times > 1]

    def servers_under(self, pid: int) -> set[int]:
        """The MCP server processes that hang on an actor's process."""
        return set(descendants(pid)) & set(self.running.servers())

    @asynccontextmanager
    async def load(self, *targets: Target) -> AsyncIterator[Load]:
        """16 callers of these targets, of all three if none is named, from a moment when everything is up."""
        await self.whole()
        async with under_load(
            self.running.url, KEYS["callers"], targets or (PAIR, FIXTURE, CHAOS), texts=self.text
        ) as load:
            await eventually(lambda: len(load.calls) >= 100, 30)
            yield load

    @asynccontextmanager
    async def caller(self, key: str = "callers", *, legacy: bool = False) -> AsyncIterator[Caller]:
        """One more client, at rest."""
        caller = Caller(self.running.url, KEYS[key], legacy=legacy)
        try:
            await caller.open()
            yield caller
        finally:
            await caller.close()

    @asynccontextmanager
    async def without_replacement(self) -> AsyncIterator[None]:
        """Let Serve start nothing in place of what is killed in this block."""
        controller = await self.actors.one(CONTROLLER)
        os.kill(controller.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(controller.pid, signal.SIGCONT)

    async def connections(self) -> dict[Actor, int]:
        """How many connections each ingress replica has accepted and still has."""
        return {actor: _connections(actor.pid) for actor in await self.actors.of(INGRESS)}

    async def whole(self, seconds: float = 60.0) -> None:
        """Wait until all replicas of the backends are up and all of the ingress are there."""

        async def all_there() -> bool:
            up = [value for name, value in (await self.metrics()).items() if name.startswith("only1mcp_backend_up")]
            ingress = await self.actors.of(INGRESS)
            return up == [1.0] * BACKEND_REPLICAS and len(ingress) == INGRESS_REPLICAS

        await eventually(all_there, seconds)

    async def metrics(self) -> dict[str, float]:
        """What `/metrics` says, by name and labels; nothing while it answers 503."""
        async with httpx.AsyncClient(headers={"x-api-key": KEYS["callers"]}, timeout=20.0) as client:
            page = await client.get(f"{self.running.origin}/metrics")
        if page.status_code == 503:
            return {}
        page.raise_for_status()
        lines = (line.rpartition(" ") for line in page.text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}


def _connections(pid: int) -> int:
    found = psutil.Process(pid).net_connections("tcp")
    ports = {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}
    return sum(each.status == psutil.CONN_ESTABLISHED and each.laddr.port in ports for each in found)


@contextmanager
def cluster_in(folder: Path) -> Iterator[Cluster]:
    """A gateway with two ingress replicas and authentication, in front of four backends, one of two replicas."""
    journal = folder / "journal"
    counting = [str(ROOT / "tests/support/cluster_server.py"), str(journal)]
    sections: dict[str, Any] = {
        "server": {"replicas": INGRESS_REPLICAS},
        "auth": {
            "api_keys": [{"name": name, "hash": hash_of(key)} for name, key in KEYS.items()],
            "verdict_seconds": 600,
        },
    }
    asking_words = (str(journal), "--http", "0", "--era", "legacy")
    with (
        listening("tests.support.fixture_server", "--http", "0") as fixture,
        listening("tests.support.cluster_asking", *asking_words) as asking,
    ):
        servers: dict[str, dict[str, Any]] = {
            "pair": {"command": sys.executable, "args": counting, "replicas": 2},
            "fixture": {"url": fixture.url},
            "asking": {"url": asking.url},
            "chaos": chaos(),
        }
        with gateway(folder, servers, sections=sections, environ=ENVIRON, dashboard=True) as running:
            yield Cluster(running, actors_of(running), journal)
