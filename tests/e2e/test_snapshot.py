"""A gateway that is started again: its lists and sessions are there before its servers are."""

import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway_process import GatewayProcess, gateway
from tests.support.processes import ROOT, free_port

pytestmark = pytest.mark.e2e

LIMIT = 120.0
SLOW_SECONDS = 300.0
REVISION = "2025-11-25"
TOOLS = {"fast__echo", "slow__echo"}


def program(file: Path, *, pause: float) -> dict[str, Any]:
    """A server that is the same command whatever the file says: its start can be made slow."""
    file.write_text(
        f"import runpy, sys, time\nsys.path.insert(0, {str(ROOT)!r})\ntime.sleep({pause})\n"
        "runpy.run_module('tests.support.chaos_server', run_name='__main__')\n"
    )
    return {"command": sys.executable, "args": [str(file)]}


class Caller:
    """A client of the handshake era that speaks raw JSON."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = ""

    def post(self, method: str, **params: Any) -> httpx.Response:
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": REVISION}
        if self.session:
            headers["mcp-session-id"] = self.session
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return httpx.post(self.url, json=body, headers=headers, timeout=5.0)

    def initialize(self) -> None:
        info = {"name": "t", "version": "1"}
        answer = self.post("initialize", protocolVersion=REVISION, capabilities={}, clientInfo=info)
        self.session = answer.headers["mcp-session-id"]

    def tools(self) -> set[str]:
        return {tool["name"] for tool in self.post("tools/list").json()["result"]["tools"]}


def first(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The first answer that the door gives; on a busy machine an ingress may first say that it knows nothing yet."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            answer = ask()
        except httpx.TransportError:
            pass
        else:
            of_the_proxy = answer.status_code in (404, 502, 503) and "jsonrpc" not in answer.text
            if not of_the_proxy and "retry-after" not in answer.headers:
                return answer
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def again(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts the same gateway, with a fast server and with one that takes its time."""
    port = free_port()
    state = tmp_path / "state" / "kept.sqlite"

    def start(pause: float, line: str) -> Any:
        servers = {
            "fast": program(tmp_path / "fast.py", pause=0.0),
            "slow": {**program(tmp_path / "slow.py", pause=pause), "start_timeout": 2 * SLOW_SECONDS},
        }
        sections = {"server": {"state_file": str(state)}}
        return gateway(tmp_path, servers, sections=sections, port=port, line=line)

    yield start
    assert stat.S_IMODE(state.stat().st_mode) == 0o600


def test_a_gateway_that_starts_again_offers_everything_as_soon_as_its_door_is_open(
    again: Callable[..., Any],
) -> None:
    running: GatewayProcess
    with again(0.0, "ready http") as running:
        caller = Caller(running.url)
        caller.initialize()
        complete = caller.tools()

    with again(SLOW_SECONDS, "") as running:
        answer = first(lambda: caller.post("tools/list"))
        is_ready = "ready http" in running.output()
        called = caller.post("tools/call", name="slow__echo", arguments={"text": "x"})

    assert complete >= TOOLS
    assert not is_ready, "the slow server cannot have started yet"
    assert answer.status_code == 200, answer.text
    assert {tool["name"] for tool in answer.json()["result"]["tools"]} == complete
    assert "slow" in answer.json()["result"]["_meta"]["only1mcp/stale"]
    assert '"error"' in called.text
    assert "'slow'" in called.text
