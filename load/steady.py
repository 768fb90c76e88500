"""The whole comparison by one command: `python -m load.steady` starts an echo server and the gateway, and compares.

Both run on free ports of the loopback address and are gone afterwards. Run it from a checkout, at its top.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from load.calls import Era, Wire, objection, tool_names
from load.compare import Target, add_plan_arguments, plan_of, run
from tests.support.processes import LOCALHOST, ROOT, command, free_port, listening, stop

START_SECONDS: Final = 120.0
"""A gateway starts Ray and Serve first; on two cores that takes half a minute when they are busy."""

STOP_SECONDS: Final = 45.0
TOOL: Final = "echo__echo"


def configuration(
    backend: dict[str, Any], port: int, replicas: int, sections: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The gateway's configuration file, with one backend named `echo`, and further sections."""
    server = {"host": LOCALHOST, "port": port, "replicas": replicas}
    return {"server": server, "mcpServers": {"echo": backend}, **(sections or {})}


@contextmanager
def gateway(
    backend: dict[str, Any], replicas: int, sections: Mapping[str, Any] | None = None, credential: str = ""
) -> Iterator[str]:
    """Run the gateway in front of one backend; gives its URL once the tool is listed.

    `credential` is the value of `Authorization` that it wants with these sections.

    Raises:
        RuntimeError: it ended, or did not list the tool in time.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="only1mcp-load-") as folder:
        Path(folder, "only1mcp.json").write_text(json.dumps(configuration(backend, port, replicas, sections)), "utf-8")
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys; from serve_app.cli.main import main; sys.exit(main())", "run"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=sys.stderr,
        )
        try:
            url = f"http://{LOCALHOST}:{port}/mcp"
            await_tool(url, process, credential)
            yield url
        finally:
            stop(process, seconds=STOP_SECONDS)


def await_tool(url: str, process: subprocess.Popen[bytes], credential: str = "") -> None:
    """Wait until the endpoint lists the tool.

    Raises:
        RuntimeError: the process ended first, or it took too long.
    """
    wire = Wire(Era.MODERN, TOOL, credential=credential)
    deadline = time.monotonic() + START_SECONDS
    seen = "nothing listens"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the gateway ended with {process.returncode}")
        question = wire.list_tools()
        try:
            response = httpx.post(url, content=question.body, headers=question.headers, timeout=5.0)
        except httpx.HTTPError as error:
            seen = type(error).__name__
        else:
            content_type = response.headers.get("content-type", "")
            reason = objection(question, response.status_code, content_type, response.content)
            if reason is None and TOOL in tool_names(content_type, response.content):
                return
            seen = reason or f"no tool {TOOL}"
        time.sleep(0.2)
    raise RuntimeError(f"the gateway did not list {TOOL} within {START_SECONDS:g} s: {seen}")


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--backend", choices=("http", "stdio"), default="http", help="how the gateway reaches the server"
    )
    parser.add_argument("--replicas", type=int, default=1, help="ingress replicas")
    add_plan_arguments(parser)
    arguments = parser.parse_args()
    with listening("tests.support.echo_server", "--http", "0") as server:
        executable, *args = command("tests.support.echo_server", "--stdio")
        stdio = {"command": executable, "args": args, "cwd": str(ROOT)}
        try:
            targets = [Target("direct", server.url, "echo")]
            plan_of(arguments, targets)  # refuse before the long start
            with gateway({"url": server.url} if arguments.backend == "http" else stdio, arguments.replicas) as url:
                return run(plan_of(arguments, [*targets, Target("gateway", url, TOOL)]))
        except (OSError, RuntimeError, ValueError) as error:
            print(f"load.steady: {error}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
