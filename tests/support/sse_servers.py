"""Loopback servers of HTTP+SSE that say what a test wants them to say."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import web

from actors.core import sse
from actors.core.endpoints import SseEndpoint
from actors.transports.sse import SseTransport
from tests.support.http_servers import MIB, Handler, event_answer, serving
from tests.support.processes import eventually

MESSAGES = "/messages?session=1"


async def accept(_: web.Request) -> web.StreamResponse:
    """Take a message, as servers do."""
    return web.Response(status=202, text="Accepted")


class SseServer:
    """Gives every client a stream, takes every message, and keeps what it saw.

    `endpoint` is what it names for messages, nothing if that is `None`; `post` answers POSTs.
    """

    def __init__(self, endpoint: str | None = MESSAGES, post: Handler = accept) -> None:
        self.requests: list[web.Request] = []
        self.posted: list[Any] = []
        """The messages, in the order in which they arrived."""
        self._endpoint = endpoint
        self._post = post
        self._said: asyncio.Queue[bytes | None] = asyncio.Queue()

    def say(self, *messages: dict[str, Any]) -> None:
        """Send messages on the stream."""
        for message in messages:
            self.write(sse.event(json.dumps(message).encode(), event="message"))

    def write(self, data: bytes) -> None:
        """Send bytes on the stream."""
        self._said.put_nowait(data)

    def end(self) -> None:
        """End the stream."""
        self._said.put_nowait(None)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The handler."""
        self.requests.append(request)
        if request.method == "POST":
            self.posted.append(json.loads(await request.read()))
            return await self._post(request)
        response = await event_answer(request)
        if self._endpoint is not None:
            await response.write(sse.event(self._endpoint.encode(), event="endpoint"))
        while (data := await self._said.get()) is not None:
            await response.write(data)
        return response

    def posts(self) -> list[web.Request]:
        """The requests that brought messages."""
        return [request for request in self.requests if request.method == "POST"]


def sse_to(url: str, **options: Any) -> SseTransport:
    """A transport to the server with this stream, not yet connected."""
    endpoint = SseEndpoint(url=url, headers=options.pop("headers", {}))
    return SseTransport(endpoint, name="old", **{"max_message_bytes": MIB, **options})


@asynccontextmanager
async def streaming(server: SseServer, **options: Any) -> AsyncIterator[SseTransport]:
    """A transport connected to this server."""
    async with serving(server.answer) as url:
        transport = sse_to(url, **options)
        try:
            await transport.connect()
            yield transport
        finally:
            await transport.close()


class SsePeer:
    """A server for the contract of transports."""

    def __init__(self) -> None:
        self.transport = sse_to("http://127.0.0.1:9/sse")
        self._server = SseServer()
        self._serving = AsyncExitStack()

    async def start(self) -> None:
        """Listen, and connect."""
        self.transport = sse_to(await self._serving.enter_async_context(serving(self._server.answer)))
        await self.transport.connect()

    async def say(self, *messages: dict[str, Any]) -> None:
        """Send messages on the stream."""
        await self._arrived()
        self._server.say(*messages)

    async def leave(self) -> None:
        """Listen no more, and cut every connection."""
        await self._arrived()
        await self._serving.aclose()

    async def _arrived(self) -> None:
        """Wait until every open request has been posted."""
        await eventually(
            lambda: self.transport._pending._sinks.keys() <= {message.get("id") for message in self._server.posted}
        )
