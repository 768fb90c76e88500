"""Loopback HTTP servers that say what a test wants them to say."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import web

from actors.core import sse
from actors.core.endpoints import HttpEndpoint
from actors.core.jsonrpc import Message, decode_message, notification, request
from actors.core.revisions import LATEST_HANDSHAKE
from actors.transports.streamable_http import StreamableHttpTransport
from tests.support.processes import eventually
from tests.support.recorder import LIMIT, Recorder, open_request

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
MIB = 1024 * 1024

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
"""The beginning of an answer on a raw connection."""

PROGRESS = notification("notifications/progress", b'{"progressToken":1,"progress":1}')
PING = request(7, "ping", b"{}")


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Serve any method on any path; gives the URL of its MCP endpoint."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application(client_max_size=MIB)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def conversing(conversation: Conversation) -> AsyncIterator[str]:
    """Serve raw connections, for what no HTTP server would say; gives the URL of its MCP endpoint."""
    tasks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await conversation(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(converse(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """The body of one request on a raw connection.

    Raises:
        asyncio.IncompleteReadError: the client closed it.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    return await reader.readexactly(length)


def result(request_id: object, text: str = "ok") -> bytes:
    """A response."""
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "result": {"text": text}}).encode()


def error(request_id: object, message: str) -> bytes:
    """An error response."""
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "error": {"code": -32603, "message": message}}).encode()


def http_to(url: str, **options: Any) -> StreamableHttpTransport:
    """A transport to this server, not yet connected."""
    endpoint = HttpEndpoint(url=url, headers=options.pop("headers", {}))
    return StreamableHttpTransport(endpoint, name="web", **{"max_message_bytes": MIB, **options})


def json_answer(body: bytes, status: int = 200, **headers: str) -> web.Response:
    """One JSON body."""
    return web.Response(body=body, status=status, content_type=JSON, headers=headers)


async def event_answer(request: web.Request, *events: bytes) -> web.StreamResponse:
    """A stream that is still open, with these encoded events sent."""
    response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM})
    await response.prepare(request)
    for event in events:
        await response.write(event)
    return response


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[StreamableHttpTransport]:
    """A transport to this server, closed in the end."""
    transport = http_to(url, **options)
    await transport.connect()
    try:
        yield transport
    finally:
        await transport.close()


@asynccontextmanager
async def talking(handler: Handler, **options: Any) -> AsyncIterator[StreamableHttpTransport]:
    """A transport connected to a server that answers with this handler."""
    async with serving(handler) as url, connected(url, **options) as transport:
        yield transport


async def message_id(received: web.Request) -> Any:
    return json.loads(await received.read()).get("id")


async def echo(received: web.Request) -> web.StreamResponse:
    number = await message_id(received)
    return web.Response(status=202) if number is None else json_answer(result(number, f"answer {number}"))


def answering(*events: bytes) -> Any:
    async def answer(received: web.Request) -> web.StreamResponse:
        return await event_answer(received, *(sse.event(event) for event in events))

    return answer


async def only_outcome(handler: Any, **options: Any) -> Recorder:
    """What request 1 hears from this server."""
    async with talking(handler, **options) as transport:
        recorder = open_request(transport, 1)
        await recorder.ended()
    return recorder


class Naps:
    """Sleeps that take no time, and are remembered."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)


class HttpPeer:
    """A server for the contract of transports: a stream for each open request, and one for everything else."""

    def __init__(self) -> None:
        self.transport = http_to("http://127.0.0.1:9/mcp")
        self._server = AsyncExitStack()
        self._streams: dict[int | None, asyncio.Queue[bytes]] = {}

    async def start(self) -> None:
        """Listen, connect, and end the handshake."""
        url = await self._server.enter_async_context(serving(self._answer))
        self.transport = http_to(url, pool_size=400)
        await self.transport.connect()
        self.transport.established(LATEST_HANDSHAKE)
        self.transport.send(notification("notifications/initialized"), {})
        await eventually(lambda: None in self._streams)

    async def say(self, *messages: dict[str, Any]) -> None:
        """Send messages, each on the stream it belongs to; what nobody asked for arrives before the next is sent."""
        await self._arrived()
        for message in messages:
            event = sse.event(json.dumps(message).encode())
            number = message.get("params", {}).get("progressToken") if "method" in message else message.get("id")
            if type(number) is int and number in self._streams:
                self._streams[number].put_nowait(event)
            elif "method" not in message:  # a response to nobody, where it may do harm
                self._streams[next(iter(self.transport._open))].put_nowait(event)
            else:
                heard = self._hearing()
                self._streams[None].put_nowait(event)
                async with asyncio.timeout(LIMIT):
                    await heard.wait()

    async def leave(self) -> None:
        """Listen no more, and cut every connection."""
        await self._arrived()
        await self._server.aclose()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "DELETE":
            return web.Response(status=405)
        message = decode_message(await request.read()) if request.method == "POST" else None
        if message is not None and not message.id:
            return web.Response(status=202)
        queue = self._streams[None if message is None else int(bytes(message.id))] = asyncio.Queue()
        response = await event_answer(request)
        while True:
            await response.write(await queue.get())

    async def _arrived(self) -> None:
        """Wait until every open request has its stream."""
        await eventually(lambda: self.transport._open.keys() <= self._streams.keys())

    def _hearing(self) -> asyncio.Event:
        """Set as soon as the next unsolicited message has arrived."""
        heard, listener = asyncio.Event(), self.transport.unsolicited

        def hear(message: Message) -> None:
            self.transport.unsolicited = listener
            listener(message)
            heard.set()

        self.transport.unsolicited = hear
        return heard
