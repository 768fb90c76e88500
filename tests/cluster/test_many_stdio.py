"""Fifty servers over stdio in one gateway: all start within a bound, all are well, and nothing of them is left."""

import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.support.cluster_actors import ENVIRON
from tests.support.cluster_callers import Caller, Target
from tests.support.gateway_process import gateway
from tests.support.processes import ROOT, wait_gone

pytestmark = pytest.mark.cluster

COUNT = 50
START_SECONDS = 90.0
"""What the start may take on a busy machine with two cores; what it takes on a quiet one is for `load.density`."""


async def test_fifty_stdio_servers_start_are_well_and_leave_nothing(tmp_path: Path) -> None:
    script = str(ROOT / "tests/support/cluster_server.py")
    server = {"command": sys.executable, "args": ["-S", script, str(tmp_path / "journal")]}
    names = [f"s{number}" for number in range(COUNT)]
    began = time.monotonic()
    with gateway(tmp_path, dict.fromkeys(names, server), environ=ENVIRON, dashboard=True) as running:
        ready = time.monotonic() - began
        health = httpx.get(f"{running.origin}/health").json()
        caller = Caller(running.url, "", legacy=False)
        try:
            calls = [await caller.call(Target(f"{name}__note"), f"to {name}") for name in names]
            listed = await caller.tools()
        finally:
            await caller.close()
        processes = [*running.ray_processes(), *running.servers()]

    assert (health["status"], health["backends"]) == ("ok", {"up": COUNT, "total": COUNT})
    assert {call.trouble for call in calls} == {""}
    assert listed == {f"{name}__note" for name in names}
    assert ready < START_SECONDS
    assert await wait_gone(processes, 10) == []
