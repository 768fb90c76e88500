"""A Ray that somebody else started: `ray start` in a folder and on ports of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tests.support.cluster_actors import ENVIRON, TOKEN, Actors
from tests.support.processes import LOCALHOST, descendants, free_port, stop

START_SECONDS: Final = 90.0


@dataclass(frozen=True)
class OtherRay:
    """A running one."""

    process: subprocess.Popen[bytes]
    address: str
    """What `run --address` is given."""
    dashboard: str

    @property
    def actors(self) -> Actors:
        return Actors(self.dashboard)

    def processes(self) -> set[int]:
        """All that belong to it at this moment, workers and their children included."""
        return set(descendants(self.process.pid))


@contextmanager
def other_ray() -> Iterator[OtherRay]:
    """Start one, and end it by its own processes."""
    port, dashboard_port = free_port(), free_port()
    folder = tempfile.mkdtemp(prefix="ray-")  # a short path, since its sockets are in there
    options = {
        "port": port,
        "node-ip-address": LOCALHOST,
        "dashboard-host": LOCALHOST,
        "dashboard-port": dashboard_port,
        "dashboard-agent-listen-port": free_port(),
        "ray-client-server-port": free_port(),
        "metrics-export-port": free_port(),
        "object-store-memory": 128 * 1024 * 1024,
        "temp-dir": folder,
    }
    ray = str(Path(sys.executable).with_name("ray"))
    words = [ray, "start", "--head", "--block", *(f"--{name}={value}" for name, value in options.items())]
    environ = {**os.environ, **ENVIRON, "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(words, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running = OtherRay(process, f"{LOCALHOST}:{port}", f"http://{LOCALHOST}:{dashboard_port}")
    try:
        _await_ready(running)
        yield running
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _await_ready(running: OtherRay) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(running):
        assert running.process.poll() is None, "it ended before it was ready"
        assert time.monotonic() < deadline, f"not ready within {START_SECONDS:g} s"
        time.sleep(0.1)


def _answers(running: OtherRay) -> bool:
    """Whether it lists a node that lives."""
    try:
        nodes = httpx.get(f"{running.dashboard}/api/v0/nodes", headers={"authorization": f"Bearer {TOKEN}"})
    except httpx.TransportError:
        return False
    return nodes.status_code == 200 and "ALIVE" in nodes.text
