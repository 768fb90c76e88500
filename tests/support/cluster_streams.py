"""Clients of the handshake era that read streams, notice when one breaks, and come back with the last event id."""

import asyncio
import itertools
import json
import time
from contextlib import suppress
from typing import Any, Final

import aiohttp

from actors.core.sse import SseDecoder
from tests.support.cluster_callers import CLIENT, LEGACY, Json

MIB: Final = 1024 * 1024
PAUSE_SECONDS: Final = 0.1
"""Between two attempts to come back: whoever is in front may still send some of them to what is gone."""

BACK_SECONDS: Final = 20.0


class Stream:
    """What came on the connections that carry one stream, one after the other."""

    def __init__(self) -> None:
        self.messages: list[Json] = []
        self.last_event_id = ""
        self.connections = 0
        self.ended = asyncio.Event()
        """Set when the connection has ended, and none has followed yet."""

    @property
    def answer(self) -> Json | None:
        """The response, if it has come."""
        return next((message for message in self.messages if "method" not in message), None)

    def of(self, method: str) -> list[Json]:
        """The parameters of all notifications of a method, in order."""
        return [message["params"] for message in self.messages if message.get("method") == method]

    async def read(self, response: aiohttp.ClientResponse) -> None:
        """Read one connection to its end, whatever that is."""
        decoder = SseDecoder(MIB)
        self.connections += 1
        self.ended.clear()
        with suppress(aiohttp.ClientError):
            while chunk := await response.content.readany():
                self.messages += [json.loads(event.data) for event in decoder.feed(chunk) if event.data]
                self.last_event_id = decoder.last_event_id or self.last_event_id
        self.ended.set()


class Streamer:
    """One session, and a connection for each of its requests."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {key}", "accept": "application/json, text/event-stream"}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Streamer":
        # a connection of its own for each request: who chooses the replica chooses for each of them
        connector = aiohttp.TCPConnector(force_close=True)
        self._http = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None, sock_connect=10)
        )
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
        _, headers = await self._insist("initialize", params)
        self._headers |= {"mcp-protocol-version": LEGACY, "mcp-session-id": headers["mcp-session-id"]}
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    async def post(self, method: str, params: Json) -> tuple[int, Any, Any]:
        """Send a request and read the answer, which is no stream: status, content and headers.

        Raises:
            aiohttp.ClientError: the connection broke.
        """
        limit = aiohttp.ClientTimeout(BACK_SECONDS)
        async with self._http.post(
            self._url, json=self._body(method, params), headers=self._headers, timeout=limit
        ) as got:
            content = await got.read()
            if got.status >= 500:  # who is in front of the gateway says so in a page of his own
                return got.status, content, got.headers
            return got.status, json.loads(content.rpartition(b"data:")[2] or b"null"), got.headers

    async def ask(self, method: str, params: Json) -> Json:
        """Send a request until it is answered; only for those which may be sent twice."""
        return (await self._insist(method, params))[0]

    async def _insist(self, method: str, params: Json) -> tuple[Json, Any]:
        deadline = time.monotonic() + BACK_SECONDS
        while True:
            try:
                status, answer, headers = await self.post(method, params)
            except aiohttp.ClientError:
                status, answer, headers = 0, {}, {}
            if status == 200:
                return dict(answer), headers
            assert time.monotonic() < deadline, f"{method}: status {status}, {answer}"
            await asyncio.sleep(PAUSE_SECONDS)

    async def end(self) -> int:
        """End the session; gives the status."""
        async with self._http.delete(self._url, headers=self._headers) as response:
            return response.status

    def call(self, tool: str, arguments: Json) -> Stream:
        """Call a tool that reports progress, and read to its answer, on as many connections as that takes."""
        params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": "token"}}
        stream = Stream()
        self._in_background(self._read_to_the_answer(stream, self._body("tools/call", params)))
        return stream

    def listen(self, stream: Stream | None = None) -> Stream:
        """Open a stream for what belongs to no request, or come back to one, and read it until the connection ends."""
        stream = stream or Stream()
        self._in_background(self._come_back(stream))
        return stream

    def _body(self, method: str, params: Json) -> Json:
        return {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": params}

    def _in_background(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_to_the_answer(self, stream: Stream, body: Json) -> None:
        assert await self._read("POST", stream, body), "the call did not begin"
        while stream.answer is None:
            await self._come_back(stream)

    async def _come_back(self, stream: Stream) -> None:
        """Ask for what comes after the last event, as often as nobody is there."""
        deadline = time.monotonic() + BACK_SECONDS
        while not await self._read("GET", stream, None):
            assert time.monotonic() < deadline, "nobody is there"
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self, verb: str, stream: Stream, body: Json | None) -> bool:
        resumed = {"last-event-id": stream.last_event_id} if stream.last_event_id else {}
        headers = self._headers | resumed
        try:
            async with self._http.request(verb, self._url, json=body, headers=headers) as response:
                if response.status >= 500:
                    return False
                assert response.status == 200, f"{verb}: {response.status} {await response.text()}"
                await stream.read(response)
                return True
        except aiohttp.ClientError:
            return False
