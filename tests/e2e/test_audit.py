"""The audit of a gateway that runs: everybody's deeds are in it, no secret is, and nobody can change it unseen."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway_process import GatewayProcess, gateway, module
from tests.support.guarded import KEY, KEY_HEADER
from tests.support.processes import ROOT, free_port
from tests.support.sdk_client import MODERN_HEADERS, modern

pytestmark = pytest.mark.e2e

PASSWORD = "correct-horse-battery-staple"


class Audited:
    """A gateway with an audit, and what is in it."""

    def __init__(self, running: GatewayProcess, file: Path) -> None:
        self.running = running
        self.file = file

    def ask(self, method: str, **params: Any) -> httpx.Response:
        headers = {**MODERN_HEADERS, **KEY_HEADER, "Mcp-Method": method}
        if "name" in params:
            headers["Mcp-Name"] = params["name"]
        return httpx.post(self.running.url, json=modern(method, **params), headers=headers, timeout=30.0)

    def opened(self) -> str:
        """The id of a session that was just opened."""
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
        headers = {**KEY_HEADER, "Accept": "application/json, text/event-stream"}
        return httpx.post(self.running.url, json=body, headers=headers, timeout=30.0).headers["mcp-session-id"]

    def delete(self, session: str) -> int:
        """Have a session end; gives the status."""
        headers = {**KEY_HEADER, "Mcp-Session-Id": session, "Mcp-Protocol-Version": "2025-11-25"}
        return httpx.delete(self.running.url, headers=headers, timeout=30.0).status_code

    def events(self) -> list[dict[str, Any]]:
        lines = self.file.read_bytes().split(b"\n") if self.file.exists() else []
        return [json.loads(line)["event"] for line in lines if line]

    def awaited(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event that is as wanted, waited for."""
        deadline = time.monotonic() + 20.0
        while not (found := [event for event in self.events() if wanted(event)]):
            assert time.monotonic() < deadline, (self.events(), self.running.output()[-3000:])
            time.sleep(0.05)
        return found[0]

    def only1mcp(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "serve_app.cli.main", "audit", *words, "--file", str(self.file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)


def sections(file: Path) -> dict[str, Any]:
    key = {"name": "test", "hash": f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"}
    return {"auth": {"api_keys": [key]}, "audit": {"file": str(file), "arguments": "redacted"}}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    folder = tmp_path_factory.mktemp("audited")
    file = folder / "log" / "audit.jsonl"
    echo = module("tests.support.echo_server")
    servers = {"kept": echo, "other": echo, "pinned": {**echo, "pin": "on"}}
    with gateway(folder, servers, sections=sections(file)) as running:
        yield Audited(running, file)


def test_calls_lists_denials_admin_actions_and_reloads_are_in_the_log(audited: Audited) -> None:
    called = audited.ask("tools/call", name="kept__echo", arguments={"text": "hello", "password": PASSWORD})
    listed = audited.ask("tools/list")
    denied = httpx.post(audited.running.url, json={}, headers={"X-API-Key": "o1m_wrong"}, timeout=30.0)
    administered = httpx.get(f"{audited.running.origin}/api/v1/admin/servers", timeout=30.0)
    audited.running.process.send_signal(signal.SIGHUP)

    call = audited.awaited(lambda event: event["kind"] == "call")
    audited.awaited(lambda event: event["kind"] == "list" and event["method"] == "tools/list")
    denial = audited.awaited(lambda event: event["kind"] == "denial")
    admin = audited.awaited(lambda event: event["kind"] == "admin")
    audited.awaited(lambda event: event["kind"] == "config" and event["outcome"] == "applied")
    start = audited.awaited(lambda event: event["kind"] == "start")
    assert (called.status_code, listed.status_code, denied.status_code, administered.status_code) == (
        200,
        200,
        401,
        401,
    )
    assert call["by"]["subject"] == "test"
    assert (call["server"], call["name"], call["outcome"]) == ("kept", "kept__echo", "ok")
    assert call["redacted"] == {"text": "hello", "password": "[redacted]"}
    assert (denial["outcome"], denial["name"]) == ("401", "/mcp")
    assert admin["decision"] == "denied"
    assert "kept, other" in start["detail"]


def test_no_secret_is_in_the_log_and_nobody_else_may_read_it(audited: Audited) -> None:
    audited.ask("tools/call", name="kept__echo", arguments={"text": f"Bearer {PASSWORD}", "token": PASSWORD})
    audited.awaited(lambda event: "Bearer" not in json.dumps(event) and "token" in event.get("redacted", {}))

    content = audited.file.read_text()

    assert PASSWORD not in content
    assert KEY not in content
    assert audited.file.stat().st_mode & 0o077 == 0


def test_the_log_is_good_while_it_is_written_and_events_are_counted(audited: Audited) -> None:
    audited.ask("tools/list")
    audited.awaited(lambda event: event["kind"] == "list")
    deadline = time.monotonic() + 20.0
    while "only1mcp_audit_events_total" not in (
        page := httpx.get(f"{audited.running.origin}/metrics", headers=KEY_HEADER).text
    ):
        assert time.monotonic() < deadline, page
        time.sleep(0.1)

    verified = audited.only1mcp("verify")
    shown = audited.only1mcp("tail", "--kind", "list", "-n", "1")

    assert (verified.returncode, verified.stdout[:5]) == (0, "good:")
    assert "tools/list" in shown.stdout


def test_what_a_server_says_of_its_tools_is_in_the_log_when_it_is_agreed_to(audited: Audited) -> None:
    pinned = audited.awaited(lambda event: event["kind"] == "definition")
    accepted = audited.running.only1mcp("accept", "pinned")
    assert accepted.returncode == 0, accepted.stderr
    agreed = audited.awaited(lambda event: (event["kind"], event.get("outcome")) == ("definition", "accepted"))

    assert (pinned["outcome"], pinned["server"]) == ("pinned", "pinned")
    assert agreed["server"] == "pinned"
    assert agreed["detail"] == "1 tool"


def test_a_session_begins_and_ends_once_whatever_becomes_of_the_router_meanwhile(audited: Audited) -> None:
    opened = [audited.opened() for _ in range(2)]
    ended = audited.delete(opened[0])
    first = audited.awaited(lambda event: (event["kind"], event.get("outcome")) == ("session", "ended"))
    router = next(pid for pid in audited.running.ray_processes() if _title(pid).startswith("ray::Router"))
    os.kill(router, signal.SIGKILL)
    deadline = time.monotonic() + 40.0
    while not any(pid != router and _title(pid).startswith("ray::Router") for pid in audited.running.ray_processes()):
        assert time.monotonic() < deadline, audited.running.output()[-3000:]
        time.sleep(0.1)
    ended_then = audited.delete(opened[1])
    audited.awaited(
        lambda event: (
            (event["kind"], event.get("outcome")) == ("session", "ended") and event["session"] != first["session"]
        )
    )
    shown = audited.only1mcp("tail", "--kind", "session")

    told = [(event["session"], event["outcome"]) for event in audited.events() if event["kind"] == "session"]
    assert (ended, ended_then) == (204, 204)
    assert len(told) == len(set(told)) == 4
    assert (first["detail"], first["by"]["subject"]) == ("client", "test")
    assert shown.stdout.count("opened") == shown.stdout.count("ended  client") == 2
    assert not any(session in shown.stdout for session in opened)


def test_the_audit_goes_on_after_its_process_was_killed(audited: Audited) -> None:
    audit = next(pid for pid in audited.running.ray_processes() if _title(pid).startswith("ray::Audit"))
    os.kill(audit, signal.SIGKILL)

    answered = audited.ask("tools/call", name="other__echo", arguments={"text": "meanwhile"})

    assert answered.status_code == 200
    audited.awaited(lambda event: event.get("server") == "other")
    assert audited.only1mcp("verify").returncode == 0


def test_a_second_gateway_does_not_start_with_the_same_log(audited: Audited, tmp_path: Path) -> None:
    config = tmp_path / "second.json"
    config.write_text(json.dumps({"mcpServers": {"kept": module("x")}, **sections(audited.file)}))
    words = [sys.executable, "-m", "serve_app.cli.main", "run", "--config", str(config), "--port", str(free_port())]

    refused = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)

    assert refused.returncode == 1
    assert "another gateway writes the audit" in refused.stderr


def test_one_changed_byte_is_found_when_the_gateway_has_ended(audited: Audited) -> None:
    audited.ask("tools/call", name="kept__echo", arguments={"text": "a"})
    audited.running.process.send_signal(signal.SIGTERM)
    audited.running.process.wait(60.0)
    events = audited.events()
    last_call = max(line for line, event in enumerate(events, 1) if event["kind"] == "call")
    good = audited.only1mcp("verify")
    lines = audited.file.read_bytes().splitlines(keepends=True)
    lines[last_call - 1] = lines[last_call - 1].replace(b'"kept__echo"', b'"kept__ech0"')
    audited.file.write_bytes(b"".join(lines))

    broken = audited.only1mcp("verify")

    assert [event["kind"] for event in events[:2]] == ["file", "start"]
    assert (events[last_call - 1]["name"], events[-1]["kind"]) == ("kept__echo", "stop")
    assert (good.returncode, broken.returncode) == (0, 1)
    assert f"{audited.file}, line {last_call} is not as it was written" in broken.stdout


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
