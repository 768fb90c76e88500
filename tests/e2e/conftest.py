"""One gateway for the tests that only talk to it: starting one takes longer than most of them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.gateway_process import GatewayProcess, chaos, gateway, module
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
            for era in ("both", "legacy", "modern")
        }


@pytest.fixture(scope="package")
def running(
    tmp_path_factory: pytest.TempPathFactory, repository: Path, fixtures: dict[str, Listening]
) -> Iterator[GatewayProcess]:
    """A gateway in front of real servers, polite and otherwise."""
    servers = {
        "demo": module("serve_app.demonstration"),
        "time": module("mcp_server_time"),
        "git": module("mcp_server_git", "--repository", str(repository)),
        "legacy": {"type": "http", "url": fixtures["legacy"].url},
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
    with gateway(tmp_path_factory.mktemp("e2e"), servers) as process:
        yield process


@pytest.fixture(scope="package")
def python() -> str:
    return sys.executable
