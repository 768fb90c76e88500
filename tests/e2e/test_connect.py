"""Users let a running gateway act for them at a server: each on the page that they are sent to, for themselves."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.server.auth.provider import AccessToken

from serve_app.downstream.invited import KEY
from tests.actors.test_user_oidc import IssuedVerifier
from tests.e2e.test_login import SECONDS, command, log_in, said
from tests.support.gateway_process import GatewayProcess, gateway
from tests.support.login_house import SECRET
from tests.support.oidc_provider import Person, oidc_provider
from tests.support.posts import CAPABILITIES_KEY
from tests.support.processes import free_port
from tests.support.sdk_client import MODERN_HEADERS, modern
from tests.support.sdk_guarded import guarded_sdk_server

pytestmark = pytest.mark.e2e

URLS: dict[str, Any] = {"elicitation": {"url": {}}}
TOOL: dict[str, Any] = {"name": "git__whoami", "arguments": {}}


class Seeing(IssuedVerifier):
    """Keeps every token that the server was shown."""

    def __init__(self, issuer: str) -> None:
        super().__init__(issuer)
        self.shown: set[str] = set()

    async def verify_token(self, token: str) -> AccessToken | None:
        self.shown.add(token)
        return await super().verify_token(token)


class World:
    """The gateway, the server behind it, and the homes of people."""

    def __init__(self, running: GatewayProcess, verifier: Seeing, folder: Path) -> None:
        self.running = running
        self.verifier = verifier
        self.folder = folder
        self.tokens: dict[str, str] = {}

    async def enter(self, name: str) -> None:
        """Log in at the gateway, as a client of it needs it."""
        self.tokens[name] = await asyncio.to_thread(log_in, self.running, self.folder / name, name)

    async def post(self, name: str, message: dict[str, Any], **headers: str) -> httpx.Response:
        """Send a message as somebody; without a token, who has none."""
        credential = {"Authorization": f"Bearer {self.tokens[name]}"} if name in self.tokens else {}
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return await client.post(self.running.url, json=message, headers={**headers, **credential})

    async def call(self, name: str, **more: Any) -> Any:
        """The result of the tool, for a modern client that opens URLs."""
        message = modern("tools/call", **TOOL, **more)
        message["params"]["_meta"][CAPABILITIES_KEY] = URLS
        routing = {"Mcp-Method": "tools/call", "Mcp-Name": TOOL["name"]}
        return message_of(await self.post(name, message, **MODERN_HEADERS, **routing))["result"]

    async def call_of(self, name: str, revision: str, capabilities: dict[str, Any]) -> Any:
        """The response of the tool, for a client of the handshake era."""
        return await self.call_in(await self.session_of(name, revision, capabilities), name)

    async def session_of(self, name: str, revision: str, capabilities: dict[str, Any]) -> dict[str, str]:
        """The headers of what is said in a session that was just opened."""
        accept = {"Accept": "application/json, text/event-stream"}
        params = {
            "protocolVersion": revision,
            "capabilities": capabilities,
            "clientInfo": {"name": "t", "version": "1"},
        }
        opened = await self.post(name, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}, **accept)
        return {**accept, "Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": revision}

    async def call_in(self, session: dict[str, str], name: str) -> Any:
        """The response of the tool in a session."""
        message = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": TOOL}
        return message_of(await self.post(name, message, **session))

    async def hears_in(self, session: dict[str, str], name: str, method: str) -> Any:
        """The parameters of the first notification of this method on the stream of a session."""
        headers = {**session, "Authorization": f"Bearer {self.tokens[name]}"}
        async with (
            httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client,
            client.stream("GET", self.running.url, headers=headers) as stream,
        ):
            async for line in stream.aiter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else {}
                if message.get("method") == method:
                    return message["params"]
        return None

    async def browse(self, name: str, url: str) -> httpx.Response:
        """Open a page, log in under this name wherever that is asked for, and agree to everything."""
        return await asyncio.to_thread(Person(name).browse, url)

    async def connect(self, name: str, home: Path, *words: str) -> str:
        """Run `only1mcp connect`, with a browser; gives what it prints."""
        process = command(home, "connect", "git", "--no-browser", *words)
        assert process.stderr is not None
        try:
            lines = process.stderr
            page = await asyncio.to_thread(lambda: next((line for line in lines if line.startswith("http")), ""))
            assert page, process.communicate()
            await self.browse(name, page.strip())
            out, errors = await asyncio.to_thread(process.communicate, timeout=SECONDS)
        finally:
            process.kill()
        assert process.returncode == 0, errors
        return out

    async def is_asked(self, name: str) -> bool:
        """Whether somebody has to agree before the tool can be called for them."""
        return bool((await self.call(name))["resultType"] == "input_required")

    async def lists(self, name: str) -> bool:
        """Whether the tool is on the list."""
        answered = await self.post(name, modern("tools/list"), **MODERN_HEADERS, **{"Mcp-Method": "tools/list"})
        return TOOL["name"] in answered.text


@asynccontextmanager
async def world_of(folder: Path, port: int, sections: dict[str, Any]) -> AsyncIterator[World]:
    """A gateway in front of a server whose users agree at an authorization server of its own."""
    with ExitStack() as stack:
        issuer = await asyncio.to_thread(stack.enter_context, oidc_provider())
        verifier = Seeing(issuer)
        async with guarded_sdk_server("both", issuer, verifier) as url:
            servers = {"git": {"url": url, "auth": {"kind": "user"}}}
            state = {"server": {"state_file": str(folder / "state.sqlite")}}
            # the one who starts it has a home, too, where the pass of the gateway lies
            environ = {"LOGIN_SECRET": SECRET, "XDG_STATE_HOME": str(folder / "owner/state")}
            starting = gateway(folder, servers, sections={**state, **sections}, port=port, environ=environ)
            running = await asyncio.to_thread(stack.enter_context, starting)
            try:
                yield World(running, verifier, folder)
            finally:
                await asyncio.to_thread(stack.close)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """One where people log in."""
    port = free_port()
    with ExitStack() as stack:
        people = await asyncio.to_thread(stack.enter_context, oidc_provider())
        login = {"name": "corp", "issuer": people, "client_id": "confidential", "scopes": ["openid"]}
        auth: dict[str, Any] = {
            "tokens": {},
            "logins": [{**login, "client_secret": "${LOGIN_SECRET}"}],
            "public_url": f"http://127.0.0.1:{port}",
        }
        async with world_of(tmp_path, port, {"auth": auth}) as found:
            yield found


async def test_each_user_agrees_for_themselves_in_the_way_that_their_client_knows(world: World) -> None:
    running = world.running
    for name in ("ada", "bob", "eve"):
        await world.enter(name)
    listed = await world.connect("operator", world.folder / "owner", "--port", str(running.port), "--for-lists")
    await wait_until(lambda: world.lists("ada"))

    asked = await world.call("ada")
    page = asked["inputRequests"][KEY]["params"]["url"]
    phished = await world.browse("bob", page)
    unmoved = await world.call("ada")
    waiting = asyncio.create_task(world.call("ada", inputResponses={KEY: {"action": "accept"}}))
    given = await world.browse("ada", page)
    connected = await waiting

    assert "for its lists" in listed
    assert asked["resultType"] == unmoved["resultType"] == "input_required"
    assert page.startswith(f"{running.origin}/connect/git?ticket=")
    assert (phished.status_code, given.status_code) == (403, 200)
    assert "You are connected" in given.text
    assert connected["content"][0]["text"] == "ada"

    session = await world.session_of("bob", "2025-11-25", URLS)
    hearing = asyncio.create_task(world.hears_in(session, "bob", "notifications/elicitation/complete"))
    refused = await world.call_in(session, "bob")
    (elicitation,) = refused["error"]["data"]["elicitations"]
    assert refused["error"]["code"] == -32042
    assert (await world.browse("bob", elicitation["url"])).status_code == 200
    assert await hearing == {"elicitationId": elicitation["elicitationId"]}
    assert (await world.call_in(session, "bob"))["result"]["content"][0]["text"] == "bob"

    told = (await world.call_of("eve", "2025-06-18", {}))["result"]
    assert told["isError"] is True
    assert f"{running.origin}/connect/git?ticket=" in told["content"][0]["text"]
    assert "connected" in await world.connect("eve", world.folder / "eve", "--gateway", running.origin)
    assert (await world.call_of("eve", "2025-06-18", {}))["result"]["content"][0]["text"] == "eve"

    everybody = [(await world.call(name))["content"][0]["text"] for name in ("bob", "ada", "eve", "ada", "bob")]
    assert everybody == ["bob", "ada", "eve", "ada", "bob"]

    home = world.folder / "eve"
    at = ("--gateway", running.origin)
    assert "git" in await asyncio.to_thread(said, home, "connections", *at)
    assert "disconnected" in await asyncio.to_thread(said, home, "disconnect", "git", *at)
    assert "not connected" in await asyncio.to_thread(said, home, "connections", *at)
    await wait_until(lambda: world.is_asked("eve"))
    assert (await world.call("ada"))["content"][0]["text"] == "ada"

    log = running.output()
    assert world.verifier.shown.isdisjoint(world.tokens.values())
    assert not [token for token in (*world.verifier.shown, *world.tokens.values(), SECRET) if token in log]
    assert "ticket=" not in log


async def test_where_callers_are_not_told_apart_whoever_sits_there_agrees_for_all(tmp_path: Path) -> None:
    async with world_of(tmp_path, free_port(), {}) as world:
        home, at = world.folder / "owner", ("--port", str(world.running.port))
        await world.connect("ada", home, *at)
        await wait_until(lambda: world.lists("anybody"))
        first = await world.call("anybody")

        await asyncio.to_thread(said, home, "disconnect", "git", *at)
        await wait_until(lambda: world.is_asked("anybody"))
        refused = await world.call_of("anybody", "2025-11-25", URLS)
        (elicitation,) = refused["error"]["data"]["elicitations"]
        given = await world.browse("bob", elicitation["url"])
        second = await world.call("anybody")

    assert "You are connected" in given.text
    assert [each["content"][0]["text"] for each in (first, second)] == ["ada", "bob"]


def message_of(answered: httpx.Response) -> Any:
    """The last message, of a stream or alone."""
    lines = [line.removeprefix("data: ") for line in answered.text.splitlines() if line.startswith("data: {")]
    return json.loads(lines[-1] if lines else answered.text)


async def wait_until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it does not in time.
    """
    for _ in range(int(SECONDS / 0.2)):
        if await condition():
            return
        await asyncio.sleep(0.2)
    raise AssertionError("it does not hold")
