"""Who is let in, over HTTP against the running command."""

import json
import re
import socket
import time
from pathlib import Path

import httpx
import jwt
import pytest

from actors.socket_folder import new_socket
from tests.support.gateway_process import GatewayProcess
from tests.support.guarded import ISSUER, KEY, KEY_HEADER, SECRET, token
from tests.support.sdk_client import MODERN_HEADERS, modern

pytestmark = pytest.mark.e2e

REFUSED = re.compile(r'only1mcp_links_refused_total\{backend="(\w*)",reason="handshake",replica="\d*"\} [1-9]')
"""The backend of those who were refused."""


def ask(guarded: GatewayProcess, **headers: str) -> httpx.Response:
    question = modern("tools/call", name="kept__echo", arguments={"text": "let in"})
    routing = {"Mcp-Method": "tools/call", "Mcp-Name": "kept__echo"}
    return httpx.post(guarded.url, json=question, headers={**MODERN_HEADERS, **routing, **headers}, timeout=30)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        KEY_HEADER,
        {"Authorization": f"Bearer {token()}"},
    ],
    ids=["key", "key header", "token"],
)
def test_whoever_has_a_key_or_a_token_is_let_in(guarded: GatewayProcess, headers: dict[str, str]) -> None:
    answer = ask(guarded, **headers)

    assert answer.status_code == 200
    assert answer.json()["result"]["content"][0]["text"] == "let in"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer o1m_another-key"},
        {"Authorization": f"Bearer {token(exp=1)}"},
        {"Authorization": f"Bearer {token(aud='https://elsewhere.example.org')}"},
        {"Authorization": f"Bearer {jwt.encode({'iss': ISSUER, 'sub': 'eve'}, None, 'none')}"},
    ],
    ids=["nothing", "wrong key", "expired", "other audience", "unsigned"],
)
def test_nobody_else_is(guarded: GatewayProcess, headers: dict[str, str]) -> None:
    answer = ask(guarded, **headers)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "result" not in answer.json()


def test_metrics_need_a_credential_and_health_does_not(guarded: GatewayProcess) -> None:
    assert httpx.get(f"{guarded.origin}/metrics").status_code == 401
    assert httpx.get(f"{guarded.origin}/metrics", headers=KEY_HEADER).status_code == 200
    assert httpx.get(f"{guarded.origin}/health").status_code == 200


def test_who_knocks_at_the_socket_of_a_server_without_being_of_the_gateway_is_counted(guarded: GatewayProcess) -> None:
    folder = Path(new_socket().removeprefix("unix:")).parent
    own = [path for pid in guarded.ray_processes() for path in folder.glob(f"{pid}-*.sock")]
    for path in own:
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(path))
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")

    deadline = time.monotonic() + 20.0
    while not (found := REFUSED.findall(httpx.get(f"{guarded.origin}/metrics", headers=KEY_HEADER, timeout=10).text)):
        assert time.monotonic() < deadline
        time.sleep(0.2)

    assert own
    assert set(found) <= {"kept", "legacy", "other", ""}


def test_a_session_is_worth_nothing_to_another_principal(guarded: GatewayProcess) -> None:
    opened = httpx.post(
        guarded.url,
        json={
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            },
        },
        headers={**KEY_HEADER, "Accept": "application/json, text/event-stream"},
    )
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}

    mine = httpx.post(guarded.url, json=ping, headers={**session, **KEY_HEADER})
    theirs = httpx.post(guarded.url, json=ping, headers={**session, "Authorization": f"Bearer {token(sub='eve')}"})

    assert json.loads(mine.text)["result"] == {}
    assert theirs.status_code == 404


def test_no_credential_is_in_the_log(guarded: GatewayProcess) -> None:
    log = guarded.output()

    assert KEY not in log
    assert SECRET not in log
    assert Path(guarded.log).stat().st_size > 0
