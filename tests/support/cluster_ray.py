"""A Ray that somebody else started: `ray start` in a folder and on ports of its own, as the README tells them to."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from serve_app.environment import FAST_SERVE
from tests.support.cluster_actors import ENVIRON, TOKEN, Actors
from tests.support.processes import LOCALHOST, descendants, free_port, stop

START_SECONDS: Final = 90.0

HEAD_TYPE: Final = "ray.head.default"
AUTOSCALING: Final = {
    "RAY_FAKE_CLUSTER": "1",
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "AUTOSCALER_HEARTBEAT_TIMEOUT_S": "600",  # nodes of this kind are not heard under the names the autoscaler knows
}
"""What an autoscaler wants whose nodes are processes of this machine."""


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
def other_ray(workers: Mapping[str, Any] | None = None, *, cpus: int | None = None) -> Iterator[OtherRay]:
    """Start one, and end it by its own processes.

    With `workers`, node types as in `ray_cluster.yaml`, its autoscaler adds such nodes, which are processes here.
    It has as many `cpus` as the machine, if they are not given.
    """
    port, dashboard_port = free_port(), free_port()
    folder = tempfile.mkdtemp(prefix="ray-")  # a short path, since its sockets are in there
    options: dict[str, int | str] = {
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
    if cpus is not None:
        options["num-cpus"] = cpus
    ray = str(Path(sys.executable).with_name("ray"))
    variables = {**os.environ, **FAST_SERVE, **ENVIRON, "RAY_USAGE_STATS_ENABLED": "0"}
    if workers is not None:
        options["autoscaling-config"] = str(_autoscaling(Path(folder), port, workers))
        variables |= AUTOSCALING
    words = [ray, "start", "--head", "--block", *(f"--{name}={value}" for name, value in options.items())]
    process = subprocess.Popen(words, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running = OtherRay(process, f"{LOCALHOST}:{port}", f"http://{LOCALHOST}:{dashboard_port}")
    try:
        _await_ready(running)
        yield running
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _autoscaling(folder: Path, port: int, workers: Mapping[str, Any]) -> Path:
    """A file for Ray's autoscaler whose nodes are processes of this machine."""
    head = {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0}
    lists = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    config = {
        "cluster_name": "test",
        "max_workers": 2,
        "idle_timeout_minutes": 5,
        "upscaling_speed": 1.0,
        "provider": {"type": "fake_multinode", "gcs_address": f"{LOCALHOST}:{port}"},
        "available_node_types": {HEAD_TYPE: head, **workers},
        "head_node_type": HEAD_TYPE,
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        **{f"{name}_commands": [] for name in lists},
    }
    path = folder / "autoscaling.json"
    path.write_text(json.dumps(config))
    return path


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
