"""Tokens that the gateway issues, and what is revoked: the running command, with two ingress replicas."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from serve_app.downstream.responder import KEEP_ALIVE_SECONDS
from tests.support.gateway_process import GatewayProcess, gateway, module
from tests.support.guarded import AUDIENCE, ISSUER, KEY, SECRET, token
from tests.support.processes import free_port
from tests.support.sdk_client import MODERN_HEADERS, modern

pytestmark = pytest.mark.e2e

LIMIT = 60.0
MANY = 12
"""Connections, each of its own: with two replicas one of them would miss out once in two thousand times."""


class House:
    """One gateway that can be started again in the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.audit = folder / "audit.jsonl"
        self.ending = ExitStack()
        (folder / "secret").write_text(SECRET)

    def start(self) -> GatewayProcess:
        """Start it, or start it again."""
        self.ending.close()
        return self.ending.enter_context(self._gateway())

    def _gateway(self) -> AbstractContextManager[GatewayProcess]:
        auth = {
            "issuers": [{"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["HS256"], "key_file": "secret"}],
            "tokens": {},
            "public_url": f"http://127.0.0.1:{self.port}",
        }
        server = {"replicas": 2, "state_file": str(self.folder / "state.sqlite")}
        sections = {"auth": auth, "server": server, "audit": {"file": str(self.audit), "flush_seconds": 0.1}}
        return gateway(self.folder, {"kept": module("tests.support.echo_server")}, sections=sections, port=self.port)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("tokens"))
    with house.ending:
        yield house


@pytest.fixture(scope="module")
def running(house: House) -> GatewayProcess:
    return house.start()


def call(process: GatewayProcess, credential: str, server: str = "") -> int:
    """The status of one call over a connection of its own, at the endpoint of a server or at the aggregate."""
    name, url = ("echo", process.server_url(server)) if server else ("kept__echo", process.url)
    question = modern("tools/call", name=name, arguments={"text": "x"})
    routing = {"Mcp-Method": "tools/call", "Mcp-Name": name, "Authorization": f"Bearer {credential}"}
    return httpx.post(url, json=question, headers={**MODERN_HEADERS, **routing}, timeout=30).status_code


def statuses(process: GatewayProcess, credential: str, server: str = "") -> set[int]:
    """Those of many calls, so that every replica has answered some."""
    return {call(process, credential, server) for _ in range(MANY)}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def said(process: GatewayProcess, *words: str) -> str:
    """What a command prints on standard output."""
    done = process.only1mcp(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def listed(process: GatewayProcess, subject: str) -> str:
    """The id of the only token of a service."""
    entries = json.loads(said(process, "token", "list", "--json"))["tokens"]
    (found,) = [entry["id"] for entry in entries if entry["subject"] == subject]
    return str(found)


def refuse_soon(process: GatewayProcess, credential: str) -> bool:
    """Whether every ingress replica refuses it before long, and goes on to."""
    wait_until(lambda: call(process, credential) == 401 and statuses(process, credential) == {401})
    return statuses(process, credential) == {401}


def is_vault(pid: int) -> bool:
    try:
        return psutil.Process(pid).cmdline()[0].startswith("ray::Vault")
    except (psutil.Error, IndexError):
        return False


def vault_pid(process: GatewayProcess) -> int:
    found = [pid for pid in process.ray_processes() if is_vault(pid)]
    assert len(found) == 1
    return found[0]


def test_a_token_for_one_server_is_good_at_its_endpoint_and_nowhere_else(running: GatewayProcess) -> None:
    text = said(running, "token", "issue", "narrow", "--server", "kept", "--scope", "only1mcp:admin")
    headers = {"Authorization": f"Bearer {text}"}
    elsewhere = [
        httpx.get(f"{running.origin}{path}", headers=headers, timeout=30)
        for path in ("/metrics", "/api/v1/admin/servers")
    ]

    assert statuses(running, text, "kept") == {200}
    assert statuses(running, text) == {401}
    assert statuses(running, text, "other") == {401}
    assert [answer.status_code for answer in elsewhere] == [401, 401]


def test_a_service_token_works_until_it_is_revoked_and_then_nowhere(running: GatewayProcess) -> None:
    issued = said(running, "token", "issue", "ci")
    assert statuses(running, issued) == {200}

    said(running, "token", "revoke", listed(running, "ci"))

    assert refuse_soon(running, issued)


def test_a_token_of_another_issuer_is_revoked_by_its_subject_and_a_new_one_works(running: GatewayProcess) -> None:
    old = token(sub="eve", iat=int(time.time()) - 10)
    assert statuses(running, old) == {200}

    said(running, "token", "revoke", "--subject", "eve")

    assert refuse_soon(running, old)
    assert statuses(running, token(sub="eve", iat=int(time.time()))) == {200}


def test_a_key_is_good_at_once_and_worth_nothing_when_it_is_revoked(running: GatewayProcess) -> None:
    made = said(running, "key", "create", "robot")
    assert statuses(running, made) == {200}

    said(running, "key", "revoke", "robot")

    assert refuse_soon(running, made)


def opened(process: GatewayProcess, credential: str) -> dict[str, str]:
    """The headers of a session that was just opened."""
    about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
    headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {credential}"}
    found = httpx.post(process.url, json=body, headers=headers, timeout=30).headers["mcp-session-id"]
    return {**headers, "Mcp-Session-Id": found, "Mcp-Protocol-Version": "2025-11-25"}


def pinged(process: GatewayProcess, headers: dict[str, str]) -> set[int]:
    """The statuses of many pings in a session, so that every replica has answered some."""
    body = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    return {httpx.post(process.url, json=body, headers=headers, timeout=30).status_code for _ in range(MANY)}


def closing_time(process: GatewayProcess, headers: dict[str, str], begun: threading.Event) -> float:
    """When the stream of a session was closed, by the monotonic clock."""
    with httpx.stream("GET", process.url, headers=headers, timeout=LIMIT) as stream:
        for _ in stream.iter_bytes():
            begun.set()
    return time.monotonic()


def test_a_revocation_closes_streams_and_ends_sessions_with_a_word_in_the_audit(
    running: GatewayProcess, house: House
) -> None:
    issued, kept = said(running, "token", "issue", "watcher"), said(running, "token", "issue", "other")
    sessions = [opened(running, issued) for _ in range(4)]
    other = opened(running, kept)
    begun = [threading.Event() for _ in sessions]

    with ThreadPoolExecutor() as pool:
        streams = [pool.submit(closing_time, running, *each) for each in zip(sessions, begun, strict=True)]
        assert all(each.wait(LIMIT) for each in begun)
        said(running, "token", "revoke", listed(running, "watcher"))
        revoked_at = time.monotonic()
        closed_at = [stream.result(LIMIT) for stream in streams]

    again = said(running, "token", "issue", "watcher")
    # sooner than by the next look at who has a stream; `load.revoked` measures how soon it is in force
    assert max(closed_at) < revoked_at + KEEP_ALIVE_SECONDS / 2
    for session in sessions:
        assert pinged(running, session) == {401}
        assert pinged(running, {**session, "Authorization": f"Bearer {again}"}) == {404}
    assert pinged(running, other) == {200}
    wait_until(lambda: house.audit.read_text().count('"outcome":"ended","detail":"revoked"') == len(sessions))


def test_everything_goes_on_while_the_vault_is_killed(running: GatewayProcess) -> None:
    issued, gone = said(running, "token", "issue", "builder"), said(running, "key", "create", "gone")
    said(running, "key", "revoke", "gone")
    assert statuses(running, issued) == {200}
    before = vault_pid(running)

    os.kill(before, signal.SIGKILL)
    meanwhile = statuses(running, issued) | statuses(running, token(sub="ada"))

    assert meanwhile == {200}
    wait_until(lambda: running.only1mcp("token", "list").returncode == 0)
    assert vault_pid(running) != before
    assert statuses(running, said(running, "token", "issue", "again")) == {200}
    assert statuses(running, gone) == {401}


def test_what_was_issued_and_revoked_outlives_the_command(house: House, running: GatewayProcess) -> None:
    kept, gone = said(running, "token", "issue", "kept"), said(running, "token", "issue", "gone")
    key = said(running, "key", "create", "late")
    said(running, "token", "revoke", listed(running, "gone"))

    again = house.start()

    assert statuses(again, kept) == {200}
    assert statuses(again, key) == {200}
    assert statuses(again, gone) == {401}
    output = running.output() + again.output()
    for credential in (kept, gone, key, KEY):
        assert credential not in output
    assert {file.stat().st_mode & 0o777 for file in house.folder.glob("state.sqlite.vault*")} == {0o600}
