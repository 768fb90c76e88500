"""A gateway that is changed while it runs: by its file, by signals, and by the commands of its user."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.cli.desk import TOKEN_VARIABLE
from tests.support.gateway_process import GatewayProcess, await_line
from tests.support.guarded import KEY, KEY_HEADER, LEGACY

pytestmark = pytest.mark.e2e

LOOKS = 4
"""So many in a row see the same, each over a connection of its own: then all ingress replicas do."""


class Site:
    """A gateway with a file of its own."""

    def __init__(self, running: GatewayProcess) -> None:
        self.running = running
        self.only1mcp = running.only1mcp

    def write(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the servers of the file."""
        servers = self.running.configured
        change(servers)
        self.running.configure(servers)

    def tools(self) -> set[str]:
        """The tools of all servers but the one that has many."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}}
        headers = {
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/list",
            "accept": "application/json, text/event-stream",
            **KEY_HEADER,
        }
        answer = httpx.post(self.running.url, json=body, headers=headers, timeout=10.0)
        names = {tool["name"] for tool in answer.json()["result"]["tools"]}
        return {name for name in names if not name.startswith(f"{LEGACY}__")}

    def has_tools(self, *names: str) -> None:
        """Wait until these are the tools, at every ingress replica."""
        deadline = time.monotonic() + 30.0
        while (found := [self.tools() for _ in range(LOOKS)]) != [set(names)] * LOOKS:
            assert time.monotonic() < deadline, (found, self.running.output()[-3000:])
            time.sleep(0.1)

    def reloads(self) -> int:
        return self.running.output().count("reloaded: ")


@pytest.fixture(scope="module")
def site(guarded: GatewayProcess) -> Site:
    return Site(guarded)


def test_the_servers_are_listed_and_tried(site: Site) -> None:
    listed = site.only1mcp("list")
    unknown = site.only1mcp("test", "kept")
    tried = site.only1mcp("test", "kept", **{TOKEN_VARIABLE: KEY})

    assert (listed.returncode, tried.returncode) == (0, 0), (listed, tried)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["server", "kept", LEGACY, "other"]
    assert tried.stdout.startswith("kept: 1 tool after ")
    assert (unknown.returncode, unknown.stdout) == (1, "kept: it refused our credentials (401)\n")


def test_a_server_is_added_called_and_removed_without_a_restart(site: Site) -> None:
    added = site.only1mcp("add", "more", "--", sys.executable, "-m", "tests.support.echo_server")
    site.has_tools("kept__echo", "other__echo", "more__echo")
    removed = site.only1mcp("remove", "more")
    site.has_tools("kept__echo", "other__echo")
    again = site.only1mcp("remove", "more")
    of_the_file = site.only1mcp("remove", "kept")

    assert (added.returncode, added.stdout) == (0, "added more: 1 tool\n"), added
    assert removed.returncode == 0, removed
    assert (again.returncode, of_the_file.returncode) == (1, 1)
    assert "is in the configuration file" in of_the_file.stderr


def test_a_changed_file_is_applied_by_itself_and_touches_nothing_else(site: Site) -> None:
    kept = {replica["index"] for replica in _server(site, "kept")["replicas"]}

    site.write(lambda servers: servers.update(fresh=servers.pop("other")))
    await_line(site.running, "reloaded: 1 added, 0 changed, 1 removed, 2 untouched", 30.0)
    site.has_tools("kept__echo", "fresh__echo")
    site.write(lambda servers: servers.update(other=servers.pop("fresh")))
    site.has_tools("kept__echo", "other__echo")

    after = _server(site, "kept")
    assert {replica["index"] for replica in after["replicas"]} == kept
    assert [replica["restarts"] for replica in after["replicas"]] == [0]


def test_a_file_with_a_mistake_changes_nothing_and_says_why(site: Site) -> None:
    before = site.tools()

    site.write(lambda servers: servers["kept"].update(timeout="soon"))
    await_line(site.running, "mcpServers.kept.timeout: must be a number", 30.0)
    asked = site.only1mcp("reload")
    site.write(lambda servers: servers["kept"].pop("timeout"))

    assert asked.returncode == 2
    assert asked.stdout.splitlines()[-1] == "not reloaded: nothing has changed"
    assert "mcpServers.kept.timeout: must be a number" in asked.stdout
    assert site.tools() == before


@pytest.mark.parametrize("ask", ["command", "signal"])
def test_a_reload_is_done_when_it_is_asked_for(site: Site, ask: str) -> None:
    before = site.reloads()

    if ask == "command":
        asked = site.only1mcp("reload")
        assert (asked.returncode, asked.stdout) == (0, "reloaded: 0 added, 0 changed, 0 removed, 3 untouched\n")
    else:
        os.kill(site.running.process.pid, signal.SIGHUP)

    deadline = time.monotonic() + 30.0
    while site.reloads() == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_without_the_token_the_admin_api_says_nothing_even_to_this_machine(site: Site) -> None:
    answers = [
        httpx.get(f"{site.running.origin}/api/v1/admin/servers"),
        httpx.post(f"{site.running.origin}/api/v1/admin/servers", json={"name": "evil", "command": "/bin/true"}),
    ]

    assert [answer.status_code for answer in answers] == [401, 401]


def test_a_breaker_tripped_by_hand_refuses_until_it_is_reset(site: Site) -> None:
    (replica,) = _server(site, "kept")["replicas"]
    path = f"/servers/kept/replicas/{replica['index']}"

    assert _admin(site, "POST", f"{path}/trip").status_code == 204
    _await_breaker(site, "open")
    assert _admin(site, "POST", f"{path}/reset").status_code == 204
    _await_breaker(site, "closed")


def test_the_token_lies_where_only_its_user_finds_it(site: Site) -> None:
    found = _pass_file(site.running.port)

    assert json.loads(found.read_text())["pid"] == site.running.process.pid
    assert [each.stat().st_mode & 0o777 for each in (found.parent, found)] == [0o700, 0o600]


def _pass_file(port: int) -> Path:
    return Path(os.environ["XDG_STATE_HOME"]) / f"only1mcp/admin/admin-{port}.json"


def _admin(site: Site, method: str, path: str) -> httpx.Response:
    token = json.loads(_pass_file(site.running.port).read_text())["token"]
    headers = {"authorization": f"Bearer {token}"}
    return httpx.request(method, f"{site.running.origin}/api/v1/admin{path}", headers=headers, timeout=20.0)


def _server(site: Site, name: str) -> dict[str, Any]:
    page: dict[str, Any] = _admin(site, "GET", f"/servers/{name}").json()
    return page


def _await_breaker(site: Site, state: str) -> None:
    deadline = time.monotonic() + 20.0
    while [each["breaker"] for each in _server(site, "kept")["replicas"]] != [state]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
