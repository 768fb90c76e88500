"""Another node for a Ray of a test, on this machine, that can be lost like a machine whose plug is pulled."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from serve_app.environment import FAST_SERVE
from tests.support.cluster_actors import ENVIRON, TOKEN
from tests.support.cluster_ray import OtherRay
from tests.support.processes import LOCALHOST, descendants, free_port, is_there, stop

JOIN_SECONDS: Final = 90.0


@dataclass(frozen=True)
class Node:
    """One that has joined."""

    id: str
    process: subprocess.Popen[bytes]

    def lose(self) -> None:
        """End all of its processes at once."""
        for pid in (self.process.pid, *descendants(self.process.pid)):
            if is_there(pid):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def joined_node(ray: OtherRay, label: str) -> Iterator[Node]:
    """Have a node join which has this label as `place`, and end it by its own processes."""
    before = living_nodes(ray)
    options = {
        "address": ray.address,
        "node-ip-address": LOCALHOST,
        "num-cpus": 2,
        "labels": f"place={label}",
        "object-store-memory": 128 * 1024 * 1024,
        "dashboard-agent-listen-port": free_port(),
        "metrics-export-port": free_port(),
    }
    words = [str(Path(sys.executable).with_name("ray")), "start", "--block"]
    environ = {**os.environ, **FAST_SERVE, **ENVIRON, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
    process = subprocess.Popen(
        [*words, *(f"--{name}={value}" for name, value in options.items())],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Node(_await_node(ray, before, process), process)
    finally:
        stop(process)


def living_nodes(ray: OtherRay) -> set[str]:
    """The ids of all nodes."""
    page = httpx.get(f"{ray.dashboard}/api/v0/nodes?detail=1", headers={"authorization": f"Bearer {TOKEN}"})
    entries = page.json()["data"]["result"]["result"]
    return {entry["node_id"] for entry in entries if entry["state"] == "ALIVE"}


def _await_node(ray: OtherRay, before: set[str], process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + JOIN_SECONDS
    while not (new := living_nodes(ray) - before):
        assert process.poll() is None, "it ended before it had joined"
        assert time.monotonic() < deadline, f"not joined within {JOIN_SECONDS:g} s"
        time.sleep(0.2)
    return new.pop()
