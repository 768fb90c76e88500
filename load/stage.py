"""A gateway for one scenario, from nothing: in a folder of its own, and with every replica up before it begins."""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support.cluster_actors import ENVIRON
from tests.support.gateway_process import GatewayProcess, gateway
from tests.support.processes import ROOT

UP_SECONDS: Final = 60.0
"""How long the replicas may take after the gateway is ready."""

NOTES: Final = "notes"
TOOL: Final = f"{NOTES}__note"


def notes(folder: Path, **settings: Any) -> dict[str, Any]:
    """A backend that writes each call down before it answers, so that it shows which process ran which call."""
    script = str(ROOT / "tests/support/cluster_server.py")
    return {"command": sys.executable, "args": [script, str(journal_in(folder))], **settings}


def journal_in(folder: Path) -> Path:
    """Where that is written down."""
    return folder / "journal"


@contextmanager
def stage(servers: Mapping[str, dict[str, Any]], folder: Path, replicas: int) -> Iterator[GatewayProcess]:
    """Run the gateway in front of these servers until the block ends, which begins when so many replicas are up.

    Raises:
        TimeoutError: they are not, in time.
    """
    environ = {**ENVIRON, "XDG_STATE_HOME": str(folder / "state")}
    with gateway(folder, servers, environ=environ, dashboard=True) as running:
        deadline = time.monotonic() + UP_SECONDS
        while (up := replicas_up(running)) < replicas or not is_known_at_the_door(running):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{up} of {replicas} replicas are up after {UP_SECONDS:g} s")
            time.sleep(0.2)
        yield running


def replicas_up(running: GatewayProcess) -> int:
    """How many replicas of all servers serve at this moment."""
    page = httpx.get(f"{running.origin}/metrics", timeout=20.0, trust_env=False)
    lines = page.text.splitlines() if page.status_code == 200 else []
    return sum(line.startswith("only1mcp_backend_up{") and float(line.rpartition(" ")[2]) == 1.0 for line in lines)


def is_known_at_the_door(running: GatewayProcess) -> bool:
    """Whether the ingress has learned that all servers are up: that takes it a moment longer."""
    backends = httpx.get(f"{running.origin}/health", timeout=20.0, trust_env=False).json().get("backends", {})
    return bool(backends.get("up") == running.backends)


@contextmanager
def folder_of_its_own() -> Iterator[Path]:
    """For the configuration, the log and the journal; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="only1mcp-load-") as name:
        yield Path(name)
