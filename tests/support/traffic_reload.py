"""Configurations that follow each other on a gateway under traffic, and what it holds before and after them."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psutil

from tests.support.processes import eventually
from tests.support.traffic import Json, Traffic

RELOAD_SECONDS: Final = 60.0

STRAY_FILES: Final = 12
"""So many more files may a kind of process have open: connections of the callers and of Ray come and go."""


def versions(configured: dict[str, Json]) -> Iterator[dict[str, Json]]:
    """Files in which `shifting` is another each time, and `guest` is there every other time; the rest is as it is."""
    guest = {**configured["shifting"], "timeout": 40}
    for number in itertools.count(1):
        shifting = {**configured["shifting"], "timeout": 50 + number % 7, "replicas": 1 + number % 2}
        yield {**configured, "shifting": shifting} | ({"guest": guest} if number % 2 else {})


async def reload_with(traffic: Traffic, servers: dict[str, Json]) -> None:
    """Change the file, and wait until the gateway says that it has applied it and what is new is up.

    What the old version leaves still drains then.
    """
    seen = reloads(traffic)
    traffic.running.configure(servers)
    await eventually(lambda: reloads(traffic) > seen, RELOAD_SECONDS)

    async def taken_over() -> bool:
        found = await traffic.servers()
        states = {name: [each["state"] for each in found[name]["replicas"]] for name in servers if name in found}
        wanted = {name: found[name]["wanted_replicas"] for name in states}
        return found.keys() == servers.keys() and all(
            states[name].count("up") >= wanted[name] for name in ("shifting", "guest") if name in states
        )

    await eventually(taken_over, RELOAD_SECONDS)


def reloads(traffic: Traffic) -> int:
    """How often the gateway has read its file, successfully or not."""
    return traffic.running.output().count("reloaded:")


GAPS: Final = 1
"""So many more processes may be shared: who left one made room there that nobody has taken yet."""

FILES_OF_ONE: Final = 80
"""What a process has open that has just been started."""


@dataclass(frozen=True)
class Holding:
    """What a gateway holds at rest."""

    actors: tuple[str, ...]
    servers: frozenset[int]
    """MCP server processes."""
    processes: dict[str, int]
    """How many processes of each kind of name."""
    files: dict[str, int]
    """How many files those have open together."""


async def holding(traffic: Traffic) -> Holding:
    """Look at it, once nothing is on its way any more."""
    await traffic.whole()
    found = [psutil.Process(pid) for pid in traffic.running.ray_processes()]
    processes: dict[str, int] = {}
    files: dict[str, int] = {}
    for process in found:
        try:
            name, count = process.name().partition(".")[0], process.num_fds()  # after a dot: what it does just now
        except psutil.NoSuchProcess:
            continue
        if name.startswith("ray::") and "IDLE" not in name:
            processes[name] = processes.get(name, 0) + 1
            files[name] = files.get(name, 0) + count
    actors = tuple(sorted(actor.name for actor in await traffic.actors.alive() if actor.namespace == "only1mcp"))
    return Holding(actors, frozenset(traffic.running.servers()), processes, files)


async def settled(traffic: Traffic, before: Holding, seconds: float = 30.0) -> Holding:
    """What it holds as soon as that is no more than before, or after so long even so."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        now = await holding(traffic)
        if not left_behind(before, now) or asyncio.get_running_loop().time() > deadline:
            return now
        await asyncio.sleep(0.5)


def left_behind(before: Holding, after: Holding) -> dict[str, Any]:
    """What there is now that was not there before; nothing, if nothing leaks."""
    shared = ("Backends:",)  # a process that several share has another number when it was empty in between
    kept = {name for name in after.actors if not name.startswith(shared)} - set(before.actors)
    leaks: dict[str, Any] = {
        "actors": sorted(kept),
        "shared processes": max(0, len(after.actors) - len(before.actors) - GAPS),
        "servers": sorted(after.servers - before.servers),
        "processes": {name: n for name, n in after.processes.items() if n > before.processes.get(name, 0) + GAPS},
        "files": {
            name: n
            for name, n in after.files.items()
            if n > before.files.get(name, 0) + STRAY_FILES + GAPS * FILES_OF_ONE
        },
    }
    return {name: leak for name, leak in leaks.items() if leak}
