"""Two gateways for the tests that only talk to them: starting one takes longer than most of them."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.cross_era_survey import cross_era_servers
from tests.support.gateway_process import GatewayProcess, chaos, gateway, module
from tests.support.guarded import guarded_gateway
from tests.support.processes import Listening, listening


@pytest.fixture(scope="package")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small git repository for the git server to look at."""
    folder = tmp_path_factory.mktemp("repository")
    git = [shutil.which("git") or "git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    (folder / "file.txt").write_text("content\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "The first commit"], check=True)
    return folder


@pytest.fixture(scope="package")
def fixtures() -> Iterator[dict[str, Listening]]:
    """Our fixture server over HTTP, once for each era it can be of."""
    with ExitStack() as stack:
        yield {
            era: stack.enter_context(listening("tests.support.fixture_server", "--http", "0", "--era", era))
            for era in ("legacy", "modern")
        }


@pytest.fixture(scope="package")
def legacy(fixtures: dict[str, Listening]) -> dict[str, Any]:
    """A configuration entry for the one of the handshake era."""
    return {"type": "http", "url": fixtures["legacy"].url}


@pytest.fixture(scope="package")
def running(
    tmp_path_factory: pytest.TempPathFactory,
    repository: Path,
    fixtures: dict[str, Listening],
    legacy: dict[str, Any],
) -> Iterator[GatewayProcess]:
    """A gateway in front of real servers, polite and otherwise, and of those for clients of every kind."""
    servers = {
        "demo": module("serve_app.demonstration"),
        "time": module("mcp_server_time"),
        "git": module("mcp_server_git", "--repository", str(repository)),
        "legacy": legacy,
        "modern": {"url": fixtures["modern"].url, "headers": {"X-Api-Token": "upstream-secret"}},
        "stdio": module("tests.support.fixture_server", "--stdio"),
        "chaos": {**chaos(), "timeout": 3},
        "fragile": {**chaos(), "timeout": 1, "breaker": {"failure_threshold": 1, "open_seconds": 600}},
        "slow": {**chaos(), "concurrency_limit": 1, "queue_limit": 2, "queue_seconds": 30},
        "noisy": chaos("--garbage", "8", "--chatty", "--duplicate"),
        "dead": chaos("--exit", "3", "--message", "no licence found"),
        "pair": {**module("tests.support.echo_server"), "replicas": 2},
        "tasks": {**module("tests.support.tasks_server", "--stdio", "--era", "modern"), "replicas": 2},
    }
    folder = tmp_path_factory.mktemp("e2e")
    with cross_era_servers() as of_every_kind, gateway(folder, {**servers, **of_every_kind}) as process:
        yield process


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory, legacy: dict[str, Any]) -> Iterator[GatewayProcess]:
    """A gateway of several ingress replicas that wants credentials; tests change its servers and put them back."""
    with guarded_gateway(tmp_path_factory.mktemp("guarded"), legacy) as process:
        yield process
