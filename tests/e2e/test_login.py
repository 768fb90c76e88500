"""A person who logs in at a running gateway, and may there what their groups may."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway_process import GatewayProcess, gateway, module
from tests.support.login_house import SECRET
from tests.support.oidc_provider import Person, oidc_provider
from tests.support.processes import ROOT, free_port
from tests.support.sdk_client import MODERN_HEADERS, modern

pytestmark = pytest.mark.e2e

SECONDS = 60.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder, port = tmp_path_factory.mktemp("login"), free_port()
    with oidc_provider() as issuer:
        login = {"name": "corp", "issuer": issuer, "client_id": "confidential", "scopes": ["openid"]}
        sections: dict[str, Any] = {
            "auth": {
                "tokens": {},
                "logins": [{**login, "client_secret": "${LOGIN_SECRET}"}],
                "public_url": f"http://127.0.0.1:{port}",
            },
            "policy": {
                "roles": {"echoer": {"allow": [{"tools": ["*"]}, {"admin": ["servers:read"]}]}},
                "assignments": [{"role": "echoer", "groups": ["developers"]}],
            },
            "server": {"state_file": str(folder / "state.sqlite")},
        }
        servers = {"kept": module("tests.support.echo_server")}
        with gateway(folder, servers, sections=sections, port=port, environ={"LOGIN_SECRET": SECRET}) as process:
            yield process


def command(home: Path, *words: str) -> subprocess.Popen[str]:
    """A command of the person whose home this is."""
    line = [sys.executable, "-m", "serve_app.cli.main", *words]
    folders = {"XDG_CONFIG_HOME": str(home / "config"), "XDG_STATE_HOME": str(home / "state")}
    environ = {**os.environ, "HOME": str(home), **folders}
    return subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environ
    )


def log_in(running: GatewayProcess, home: Path, name: str) -> str:
    """Log in with a browser; gives the access token."""
    process = command(home, "login", "--no-browser", "--url", running.origin)
    assert process.stderr is not None
    try:
        page = next(line for line in process.stderr if line.startswith("http"))
        Person(name).browse(page.strip())
        out, errors = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert f"corp:{name} is logged in" in out
    (kept,) = (home / "config/only1mcp/logins").glob("*.json")
    found = re.search(r'"access":"([^"]+)"', kept.read_text())
    assert found is not None
    assert found[1] not in out + errors
    return found[1]


def said(home: Path, *words: str) -> str:
    """What a command of a person prints."""
    process = command(home, *words)
    try:
        out, errors = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return out


def bridged(running: GatewayProcess, home: Path, message: dict[str, Any]) -> str:
    """The answer to one message over the bridge of a person."""
    process = command(home, "stdio", "--url", running.url)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{json.dumps(message)}\n")
        process.stdin.flush()
        return process.stdout.readline()
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def ask(running: GatewayProcess, token: str, method: str, **params: Any) -> httpx.Response:
    routing = {"Mcp-Method": method, "Authorization": f"Bearer {token}"}
    if "name" in params:
        routing["Mcp-Name"] = params["name"]
    headers = {**MODERN_HEADERS, **routing}
    return httpx.post(running.url, json=modern(method, **params), headers=headers, timeout=30)


def test_groups_at_the_provider_decide_what_a_person_may_and_logging_out_ends_it(
    running: GatewayProcess, tmp_path: Path
) -> None:
    ada, eve = log_in(running, tmp_path / "ada", "ada"), log_in(running, tmp_path / "eve", "eve")

    allowed = ask(running, ada, "tools/call", name="kept__echo", arguments={"text": "hello"})
    denied = ask(running, eve, "tools/call", name="kept__echo", arguments={"text": "hello"})

    assert "hello" in allowed.text
    assert "hello" not in denied.text
    assert [tool["name"] for tool in ask(running, ada, "tools/list").json()["result"]["tools"]] == ["kept__echo"]
    assert ask(running, eve, "tools/list").json()["result"]["tools"] == []
    assert "kept" in said(tmp_path / "ada", "list", "--gateway", running.origin)
    assert "kept__echo" in bridged(running, tmp_path / "ada", modern("tools/list"))
    assert "corp:ada is logged out" in said(tmp_path / "ada", "logout", "--url", running.origin)
    assert ask(running, ada, "tools/list").status_code == 401
    assert SECRET not in running.output()
    assert ada not in running.output()
