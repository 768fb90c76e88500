"""The command itself as a test's subprocess: started, waited for, and taken down with everything it left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.processes import ROOT, descendants, free_port, is_there

READY_SECONDS: Final = 120.0
"""How long a start may take on a busy machine; what it should take is measured elsewhere."""

SERVER_MARK: Final = "ONLY1MCP_TEST_RUN"
"""A variable in the environment of every MCP server of a run: by it they are found, wherever they hang."""


@dataclass(frozen=True)
class GatewayProcess:
    """A running gateway."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    mark: str
    backends: int
    """How many it was configured with."""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"

    def server_url(self, backend: str) -> str:
        return f"{self.origin}/servers/{backend}/mcp"

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def servers(self) -> list[int]:
        """The MCP server processes of this run, with whatever they started."""
        return marked(self.mark)

    def ray_processes(self) -> list[int]:
        return descendants(self.process.pid)

    @property
    def configured(self) -> dict[str, dict[str, Any]]:
        """The servers in the file that it follows."""
        servers: dict[str, dict[str, Any]] = json.loads(self._config.read_text())["mcpServers"]
        return servers

    def configure(self, servers: Mapping[str, dict[str, Any]]) -> None:
        """Put another file with these servers in the place of that, as editors do it."""
        written = json.loads(self._config.read_text())
        fresh = self._config.with_suffix(".new")
        fresh.write_text(json.dumps({**written, "mcpServers": servers}))
        fresh.replace(self._config)

    @property
    def _config(self) -> Path:
        return self.log.with_suffix(".json")

    def only1mcp(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run another command against it, with variables in its environment; what follows `--` is a server's."""
        words = list(arguments)
        at = words.index("--") if "--" in words else len(words)
        words[at:at] = ["--port", str(self.port)]
        command = [sys.executable, "-m", "serve_app.cli.main", *words]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=ROOT,
            env={**os.environ, **variables},
            check=False,
        )


def marked(mark: str) -> list[int]:
    """Every living process with this mark in its environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            variables = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"{SERVER_MARK}={mark}".encode() in variables.split(b"\0") and is_there(int(folder.name)):
            found.append(int(folder.name))
    return found


def chaos(*flags: str) -> dict[str, Any]:
    """A configuration entry for the misbehaving server."""
    return {"command": sys.executable, "args": ["-S", str(ROOT / "tests/support/chaos_server.py"), *flags]}


def module(name: str, *arguments: str) -> dict[str, Any]:
    """A configuration entry for a module of this repository or its environment."""
    return {"command": sys.executable, "args": ["-m", name, *arguments], "cwd": str(ROOT)}


@contextmanager
def gateway(
    folder: Path,
    servers: Mapping[str, dict[str, Any]],
    *,
    sections: Mapping[str, Any] | None = None,
    arguments: tuple[str, ...] = (),
    environ: Mapping[str, str] | None = None,
    port: int | None = None,
    line: str = "ready http",
    dashboard: bool = False,
) -> Iterator[GatewayProcess]:
    """Run the gateway with these servers until the block ends; nothing of it is left afterwards.

    The block begins as soon as it has printed `line`. On the same `port`, in the same folder, it is the same gateway
    once more. Its Ray has a `dashboard` only for those who want to read it: that takes time to start.
    """
    port = port or free_port()
    mark = f"{folder.name}-{port}"
    marked_servers = {
        name: {**server, "env": {**server.get("env", {}), SERVER_MARK: mark}} if "command" in server else server
        for name, server in servers.items()
    }
    log = folder / f"gateway-{port}.log"
    config = log.with_suffix(".json")
    config.write_text(json.dumps({"mcpServers": marked_servers, **(sections or {})}))
    command = [sys.executable, "-m", "serve_app.cli.main", "run", "--config", str(config), "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *arguments, *(() if dashboard or "--address" in arguments else ("--no-dashboard",))],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
        )
    running = GatewayProcess(process, port, log, mark, len(servers))
    try:
        await_line(running, line)
        yield running
    finally:
        take_down(running)


def await_line(running: GatewayProcess, text: str, seconds: float = READY_SECONDS) -> None:
    """Wait until the gateway has printed `text`.

    Raises:
        AssertionError: it ended before, or did not in time; with what it printed.
    """
    deadline = time.monotonic() + seconds
    while text not in running.output():
        assert running.process.poll() is None, f"it ended:\n{running.output()[-4000:]}"
        assert time.monotonic() < deadline, f"no {text!r}:\n{running.output()[-4000:]}"
        time.sleep(0.1)


def take_down(running: GatewayProcess, seconds: float = 40.0) -> None:
    """End a gateway the polite way, and kill what that leaves."""
    left = running.ray_processes()
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
    try:
        running.process.wait(seconds)
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait(seconds)
    for pid in (*left, *running.servers()):
        if is_there(pid):
            os.kill(pid, signal.SIGKILL)
