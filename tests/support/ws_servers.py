"""Loopback WebSocket servers that say what a test wants them to say."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha1
from typing import Any

from aiohttp import WSMsgType, web

from actors.core.endpoints import WebSocketEndpoint
from actors.transports.websocket import WebSocketTransport
from tests.support.http_servers import MIB, Handler, serving
from tests.support.processes import eventually

Play = Callable[[web.WebSocketResponse], Awaitable[None]]


class WsServer:
    """Opens a WebSocket to every client, keeps what it hears, and says what it is told to.

    `play` runs instead of hearing, if there is one.
    """

    def __init__(self, play: Play | None = None) -> None:
        self.requests: list[web.Request] = []
        self.heard: list[Any] = []
        """The messages, in the order in which they arrived."""
        self.socket: web.WebSocketResponse | None = None
        self._play = play

    async def say(self, *messages: dict[str, Any]) -> None:
        """Send messages to the client that came last."""
        assert self.socket is not None
        for message in messages:
            await self.socket.send_str(json.dumps(message))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The handler."""
        self.requests.append(request)
        self.socket = socket = web.WebSocketResponse(protocols=("mcp",), timeout=0.5)
        await socket.prepare(request)
        if self._play is not None:
            await self._play(socket)
            return socket
        async for frame in socket:
            assert frame.type is WSMsgType.TEXT
            self.heard.append(json.loads(frame.data))
        return socket


def ws_to(url: str, **options: Any) -> WebSocketTransport:
    """A transport to this server, whose URL may be one of HTTP; not yet connected."""
    endpoint = WebSocketEndpoint(url=url.replace("http", "ws", 1), headers=options.pop("headers", {}))
    return WebSocketTransport(endpoint, name="socket", **{"max_message_bytes": MIB, **options})


@asynccontextmanager
async def connected_to(handler: Handler, **options: Any) -> AsyncIterator[WebSocketTransport]:
    """A transport connected to a server with this handler."""
    async with serving(handler) as url:
        transport = ws_to(url, **options)
        try:
            await transport.connect()
            yield transport
        finally:
            await transport.close()


async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Open a WebSocket on a raw connection, for what no server would do next."""
    head = await reader.readuntil(b"\r\n\r\n")
    key = head.partition(b"Sec-WebSocket-Key: ")[2].split(b"\r\n")[0]
    accepted = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    writer.write(b"Sec-WebSocket-Accept: %b\r\n\r\n" % accepted)


class WsPeer:
    """A server for the contract of transports."""

    def __init__(self) -> None:
        self.transport = ws_to("ws://127.0.0.1:9/mcp")
        self._server = WsServer()
        self._serving = AsyncExitStack()

    async def start(self) -> None:
        """Listen, and connect."""
        self.transport = ws_to(await self._serving.enter_async_context(serving(self._server.answer)))
        await self.transport.connect()

    async def say(self, *messages: dict[str, Any]) -> None:
        """Send messages, after all that was opened has arrived."""
        await self._arrived()
        await self._server.say(*messages)

    async def leave(self) -> None:
        """Listen no more, and cut the connection."""
        await self._arrived()
        await self._serving.aclose()

    async def _arrived(self) -> None:
        await eventually(
            lambda: self.transport._pending._sinks.keys() <= {message.get("id") for message in self._server.heard}
        )
