"""Sessions opened and abandoned: `python -m load.soak_sessions` shows that they end, and what becomes of their memory.

It starts a server and a gateway, opens sessions of the handshake era in waves, some with streams, subscriptions and log
levels, leaves without a word, and waits. Then every session must be unknown, and no process larger than after the wave
before, but for a tolerance.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil

from load.calls import LEGACY_REVISION
from tests.support.cluster_actors import ENVIRON, INGRESS, Actors, actors_of
from tests.support.gateway_process import gateway
from tests.support.processes import listening

MIB: Final = 1024 * 1024

WARM_SESSIONS: Final = 500
"""Opened before anything is measured, so that what is only loaded once is there."""

MARGIN_SECONDS: Final = 20.0
"""How much later than its time a session may end: what is in use is reported, and looked through, every few seconds."""

TOLERANCE_BYTES: Final = 8 * MIB
"""How much larger than before a process may be. The ends of 20,000 sessions are remembered on purpose for ten minutes,
about two megabytes in the Router and in each ingress replica; allocators keep the rest."""

STREAM_SECONDS: Final = 30.0
CONCURRENCY: Final = 16
ENDPOINT: Final = "fixture"
URI: Final = "fixture://counter"
WATCHED: Final = (INGRESS, "Router", "Backend:fixture:0")
NAMES: Final = {INGRESS: "ingress"}


@dataclass
class Crowd:
    """Clients that come, and go without a word."""

    http: aiohttp.ClientSession
    url: str
    listens: bool
    """Whether every tenth holds a stream open."""
    ids: list[str] = field(default_factory=list)
    """Of all sessions that were opened."""
    streams: int = 0
    """How many of them opened one."""

    async def come(self, count: int) -> None:
        """Open so many sessions, hold their streams until all are open, and leave."""
        numbers = iter(range(count))
        async with AsyncExitStack() as streams, asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(self._open_some(numbers, streams))

    async def statuses(self) -> set[int]:
        """What is said to a request in each of the sessions."""
        ids = iter(self.ids)
        statuses: set[int] = set()

        async def ask() -> None:
            for session_id in ids:
                statuses.add((await self._post("ping", {}, session_id))[0])

        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(ask())
        return statuses

    async def _open_some(self, numbers: Any, streams: AsyncExitStack) -> None:
        for number in numbers:
            session_id = await self._open()
            self.ids.append(session_id)
            if number % 10 == 1:
                await self._right("resources/subscribe", {"uri": URI}, session_id)
            elif number % 10 == 2:
                await self._right("logging/setLevel", {"level": "debug"}, session_id)
            if self.listens and number % 20 in (0, 1):
                await self._listen(session_id, streams)

    async def _open(self) -> str:
        info = {"name": "soak", "version": "1"}
        params = {"protocolVersion": LEGACY_REVISION, "capabilities": {"elicitation": {}}, "clientInfo": info}
        status, headers = await self._post("initialize", params, None)
        if status != 200:
            raise RuntimeError(f"initialize was answered with status {status}")
        return str(headers["mcp-session-id"])

    async def _right(self, method: str, params: dict[str, Any], session_id: str) -> None:
        status, _ = await self._post(method, params, session_id)
        if status != 200:
            raise RuntimeError(f"{method} was answered with status {status}")

    async def _listen(self, session_id: str, streams: AsyncExitStack) -> None:
        headers = _headers(session_id) | {"accept": "text/event-stream"}
        timeout = aiohttp.ClientTimeout(total=None, sock_read=STREAM_SECONDS)
        response = await streams.enter_async_context(self.http.get(self.url, headers=headers, timeout=timeout))
        if response.status != 200:
            raise RuntimeError(f"a stream was answered with status {response.status}")
        await response.content.readany()
        self.streams += 1

    async def _post(self, method: str, params: dict[str, Any], session_id: str | None) -> tuple[int, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self.http.post(self.url, json=body, headers=_headers(session_id)) as response:
            content = await response.read()
            if response.status == 200 and b'"result"' not in content:
                raise RuntimeError(f"{method} was answered with {content[:500]!r}")
            return response.status, response.headers


def _headers(session_id: str | None) -> dict[str, str]:
    accept = {"accept": "application/json, text/event-stream"}
    if session_id is None:
        return accept
    return accept | {"mcp-session-id": session_id, "mcp-protocol-version": LEGACY_REVISION}


@asynccontextmanager
async def crowd(url: str, *, listens: bool) -> AsyncIterator[Crowd]:
    """One that has as many connections as it wants."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as http:
        yield Crowd(http, url, listens)


class Memory:
    """The resident memory of the processes that sessions pass through."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        self._processes = processes
        self.readings: dict[str, dict[str, int]] = {name: {} for name in processes}
        """By process and by what it was read at; bytes."""

    @classmethod
    async def of(cls, actors: Actors) -> "Memory":
        """That of a gateway with these actors."""
        return cls(
            {NAMES.get(kind, kind): psutil.Process(actor.pid) for kind in WATCHED for actor in await actors.of(kind)}
        )

    def read(self, moment: str) -> None:
        """Read it now, and print it."""
        for name, process in self._processes.items():
            self.readings[name][moment] = process.memory_info().rss
        told = ", ".join(f"{name} {readings[moment] / MIB:.1f}" for name, readings in self.readings.items())
        print(f"{moment}, MiB: {told}", flush=True)

    def grown(self, since: str, until: str) -> int:
        """By how many bytes the one that grew most did between two readings."""
        return max(readings[until] - readings[since] for readings in self.readings.values())


async def soak(url: str, actors: Actors, sessions: int, waves: int, idle_seconds: float, *, listens: bool) -> int:
    """Let crowds come and go; 1 if a session is left, or too much memory."""
    memory = await Memory.of(actors)
    moments = ["before"]
    trouble = False
    for wave in range(waves + 1):
        async with crowd(url, listens=listens) as guests:
            await guests.come(WARM_SESSIONS if wave == 0 else sessions)
            if wave:
                memory.read(f"wave {wave}: {len(guests.ids):,} sessions, {guests.streams:,} streams")
            await asyncio.sleep(idle_seconds + MARGIN_SECONDS)
            statuses = await guests.statuses()
        if wave:
            moments.append(f"after wave {wave}")
        memory.read(moments[-1])
        if statuses != {404}:
            print(f"there should be no session any more, and the answers were {sorted(statuses)}")
            trouble = True
    for since, until in itertools.pairwise(moments):
        grown = memory.grown(since, until)
        print(f"from {since} to {until}: grown by {grown / MIB:.1f} MiB at most")
    return int(trouble or memory.grown(moments[-2], moments[-1]) > TOLERANCE_BYTES)


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000, help="of each wave")
    parser.add_argument("--waves", type=int, default=3, help="the last is compared with the one before")
    parser.add_argument("--no-streams", action="store_true", help="no session holds a stream; else every tenth does")
    parser.add_argument("--idle-seconds", type=float, default=60.0, help="longer than a wave takes to come")
    arguments = parser.parse_args()
    sections = {"server": {"session_idle_seconds": arguments.idle_seconds, "max_sessions": max(arguments.sessions, 1)}}
    with (
        tempfile.TemporaryDirectory(prefix="only1mcp-load-") as folder,
        listening("tests.support.fixture_server", "--http", "0") as server,
        gateway(
            Path(folder), {ENDPOINT: {"url": server.url}}, sections=sections, environ=ENVIRON, dashboard=True
        ) as running,
    ):
        url = running.server_url(ENDPOINT)
        plan = (arguments.sessions, arguments.waves, arguments.idle_seconds)
        return asyncio.run(soak(url, actors_of(running), *plan, listens=not arguments.no_streams))


if __name__ == "__main__":
    sys.exit(main())
