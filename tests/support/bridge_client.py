"""A client of the bridge over pipes, and a gateway that says what a test wants it to say."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from serve_app.stdio.bridge import USUAL_LIMITS, Bridge, Limits
from serve_app.stdio.endpoint import Endpoint
from serve_app.stdio.following import Pauses
from serve_app.stdio.streams import Input, Output
from tests.support.http_servers import Naps, serving
from tests.support.recorder import LIMIT

REVISION: Final = "2025-11-25"
INITIALIZE: Final = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
INITIALIZED: Final = {"jsonrpc": "2.0", "method": "notifications/initialized"}

Say = Callable[[web.Request, Any], Awaitable[web.StreamResponse | None]]


class BridgeClient:
    """The other ends of a bridge's standard streams."""

    def __init__(self, stdin: int, heard: asyncio.StreamReader, hearing: asyncio.ReadTransport) -> None:
        self._stdin = stdin
        self._heard = heard
        self.hearing = hearing
        """May be paused: a client that does not read."""

    def say(self, *messages: Any) -> None:
        """Write messages, a line each; bytes as they are."""
        for message in messages:
            line = message if isinstance(message, bytes) else json.dumps(message).encode()
            os.write(self._stdin, line + b"\n")

    async def hear_line(self) -> bytes:
        """The next line, without its newline."""
        async with asyncio.timeout(LIMIT):
            line = await self._heard.readline()
        assert line.endswith(b"\n"), "the bridge has closed its output"
        return line[:-1]

    async def hear(self) -> Any:
        """The next message."""
        return json.loads(await self.hear_line())

    async def ask(self, method: str, request_id: Any = 1, **params: Any) -> Any:
        """Send a request and take the next message, which should be its response."""
        self.say({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        return await self.hear()

    async def open(self) -> Any:
        """Do the handshake."""
        self.say(INITIALIZE)
        answer = await self.hear()
        self.say(INITIALIZED)
        return answer

    def leave(self) -> None:
        """Close our end."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1


@asynccontextmanager
async def bridged(
    url: str, headers: dict[str, str] | None = None, naps: Naps | None = None, limits: Limits = USUAL_LIMITS
) -> AsyncIterator[BridgeClient]:
    """A client of a bridge to this endpoint; both are gone in the end."""
    theirs, ours = os.pipe()
    heard, written = os.pipe()
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(heard, "rb", buffering=0)
    )
    source, out = Input(theirs), Output(written)
    source.start()
    out.start()
    bridge = Bridge(out, Endpoint(url, headers or {}), Pauses(naps or Naps(), lambda: 0.0), limits)
    client = BridgeClient(ours, reader, transport)

    async def converse() -> None:
        await bridge.run(source)
        await bridge.close()

    conversing = asyncio.create_task(converse())
    try:
        yield client
    finally:
        client.leave()
        async with asyncio.timeout(LIMIT):
            await conversing
        transport.close()
        os.close(theirs)
        os.close(written)


class Gateway:
    """Answers HTTP requests by a function and remembers them.

    A function gets the request and the message in it (nothing for GET and DELETE), and gives a response; nothing means
    the usual: a result with the method, 202, or for GET 405.
    """

    def __init__(self, say: Say | None = None) -> None:
        self._say = say
        self.heard: list[tuple[str, dict[str, str], Any]] = []
        """Of every request its method, its headers with names in lower case, and its message."""
        self.sessions = 0
        """How many sessions were opened; the newest is called `s` with this number."""

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        message = json.loads(body) if body else None
        self.heard.append((request.method, {key.lower(): value for key, value in request.headers.items()}, message))
        answer = None if self._say is None else await self._say(request, message)
        return await self._usual(request, message) if answer is None else answer

    def messages(self, method: str) -> list[tuple[dict[str, str], Any]]:
        """Headers and message of every POST of this JSON-RPC method."""
        return [
            (headers, body) for verb, headers, body in self.heard if verb == "POST" and body.get("method") == method
        ]

    def verbs(self, verb: str) -> list[dict[str, str]]:
        """The headers of every request of this HTTP method."""
        return [headers for one, headers, _ in self.heard if one == verb]

    async def _usual(self, request: web.Request, message: Any) -> web.StreamResponse:
        if request.method == "DELETE":
            return web.Response(status=200)
        if message is None:
            return web.Response(status=405)
        if "id" not in message or "method" not in message:
            return web.Response(status=202)
        if message["method"] != "initialize":
            return web.json_response(result(message, {"did": message["method"]}))
        self.sessions += 1
        given = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {}}
        return web.json_response(result(message, given), headers={"Mcp-Session-Id": f"s{self.sessions}"})


def result(message: Any, value: Any) -> dict[str, Any]:
    """The response to a request."""
    return {"jsonrpc": "2.0", "id": message["id"], "result": value}


def error(message: Any, code: int, text: str = "no") -> dict[str, Any]:
    """The error response to a request."""
    return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": text}}


@asynccontextmanager
async def talking(
    say: Say | None = None,
    headers: dict[str, str] | None = None,
    naps: Naps | None = None,
    limits: Limits = USUAL_LIMITS,
) -> AsyncIterator[tuple[BridgeClient, Gateway]]:
    """A client, and the gateway at the other side of the bridge."""
    gateway = Gateway(say)
    async with serving(gateway) as url, bridged(url, headers, naps, limits) as client:
        yield client, gateway
