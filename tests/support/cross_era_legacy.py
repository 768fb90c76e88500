"""Clients of the handshake era, over each of its transports."""

import asyncio
import json
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final
from urllib.parse import urljoin

import aiohttp
import httpx

from tests.support.cross_era_client import NAME, SECONDS, Answer, Client, Json, Running, events, messages

CAPABILITIES: Final[dict[str, Json]] = {
    "2024-11-05": {"sampling": {}, "roots": {}},
    "2025-03-26": {"sampling": {}, "roots": {}},
    "2025-06-18": {"sampling": {}, "roots": {}, "elicitation": {}},
    "2025-11-25": {"sampling": {}, "roots": {}, "elicitation": {"form": {}, "url": {}}},
}
"""All that each revision has of what the fixture asks."""

VERSION_HEADER_SINCE: Final = "2025-06-18"
MODERN_MEMBERS: Final = {"resultType", "ttlMs", "cacheScope", "inputRequests"}
"""What the results of this era do not have."""


class LegacyClient(Client):
    """Speaks in a session: `initialize` first, then messages both ways."""

    def __init__(self, revision: str) -> None:
        super().__init__(revision)
        self._ids = count(1)
        self._waiting: dict[Any, asyncio.Future[Answer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def send(self, message: Json) -> None:
        """Send one message; what comes back is given to `take`."""

    async def hear_all(self) -> None:
        """Be reachable for what belongs to no request."""

    async def __aenter__(self) -> "LegacyClient":
        params = {"protocolVersion": self.revision, "capabilities": CAPABILITIES[self.revision], "clientInfo": NAME}
        opened = (await self.request("initialize", params)).value
        assert opened["protocolVersion"] == self.revision
        await self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        await self.hear_all()
        return self

    def begin(
        self, method: str, params: Json | None = None, *, meta: Json | None = None, level: str | None = None
    ) -> Running:
        """See `Client.begin`; `level` is not said with a request in this era."""
        request_id = next(self._ids)
        message: Json = {"jsonrpc": "2.0", "id": request_id, "method": method}
        if params is not None or meta is not None:
            message["params"] = {**(params or {}), **({"_meta": meta} if meta is not None else {})}
        self._waiting[request_id] = asyncio.get_running_loop().create_future()
        return Running(request_id, asyncio.create_task(self._answer(message, self._waiting[request_id])))

    async def cancel(self, running: Running) -> None:
        """See `Client.cancel`."""
        params = {"requestId": running.id, "reason": "enough"}
        await self.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
        running.answer.cancel()

    async def want_logs(self, level: str) -> None:
        """See `Client.want_logs`."""
        assert (await self.request("logging/setLevel", {"level": level})).value == {}

    @asynccontextmanager
    async def following(self, uri: str) -> AsyncIterator[None]:
        """See `Client.following`."""
        assert (await self.request("resources/subscribe", {"uri": uri})).value == {}
        try:
            yield
        finally:
            assert (await self.request("resources/unsubscribe", {"uri": uri})).value == {}

    async def close(self) -> None:
        """See `Client.close`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def take(self, message: Json) -> None:
        """One message has come."""
        assert message["jsonrpc"] == "2.0"
        if "method" not in message:
            assert not MODERN_MEMBERS & message.get("result", {}).keys(), f"modern members in {message}"
            waiting = self._waiting.pop(message["id"])
            if not waiting.done():
                waiting.set_result(Answer(message.get("result"), message.get("error")))
        elif "id" not in message:
            self.told.append(message)
        else:
            self.asked.append(message)
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": self.answers[message["method"]]}
            self.background(self.send(answer))

    def background(self, work: Any) -> "asyncio.Task[None]":
        """Do something until it is done, or the client leaves."""
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer(self, message: Json, waiting: "asyncio.Future[Answer]") -> Answer:
        sending = self.background(self.send(message))
        async with asyncio.timeout(None if message.get("params", {}).get("name") == "slow" else SECONDS):
            await asyncio.wait({sending, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and sending.exception() is not None:
                await sending
            return await waiting


class StreamableClient(LegacyClient):
    """Streamable HTTP, from 2025-03-26 on."""

    def __init__(self, revision: str, http: httpx.AsyncClient, url: str) -> None:
        super().__init__(revision)
        self._http = http
        self._url = url
        self._headers: dict[str, str] = {}

    async def send(self, message: Json) -> None:
        """See `LegacyClient.send`."""
        accept = {"accept": "application/json, text/event-stream", **self._headers}
        async with self._http.stream("POST", self._url, json=message, headers=accept) as response:
            if "method" not in message or "id" not in message:
                assert response.status_code == 202, f"{response.status_code} for {message}"
                return
            assert response.status_code == 200, f"{response.status_code} {await response.aread()!r} for {message}"
            if message["method"] == "initialize":
                self._headers["mcp-session-id"] = response.headers["mcp-session-id"]
                if self.revision >= VERSION_HEADER_SINCE:
                    self._headers["mcp-protocol-version"] = self.revision
            async for each in messages(response):
                self.take(each)

    async def hear_all(self) -> None:
        """See `LegacyClient.hear_all`: a GET opens the stream."""
        opened = asyncio.Event()
        reading = self.background(self._read(opened))
        opening = asyncio.create_task(opened.wait())
        async with asyncio.timeout(SECONDS):
            await asyncio.wait({reading, opening}, return_when=asyncio.FIRST_COMPLETED)
        assert opened.is_set(), reading.exception()

    async def close(self) -> None:
        """See `Client.close`: the session is ended, and known no more."""
        await super().close()
        assert (await self._http.delete(self._url, headers=self._headers)).status_code == 204
        gone = await self._http.post(
            self._url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=self._headers
        )
        assert gone.status_code == 404

    async def _read(self, opened: asyncio.Event) -> None:
        headers = {"accept": "text/event-stream", **self._headers}
        async with self._http.stream("GET", self._url, headers=headers) as response:
            assert response.status_code == 200, response.status_code
            opened.set()
            async for message in messages(response):
                assert "method" in message, f"an answer where none belongs: {message}"
                self.take(message)


class SseClient(LegacyClient):
    """HTTP+SSE, of 2024-11-05."""

    def __init__(self, revision: str, http: httpx.AsyncClient, url: str) -> None:
        super().__init__(revision)
        self._http = http
        self._url = url
        self._endpoint: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> "LegacyClient":
        self.background(self._read())
        async with asyncio.timeout(SECONDS):
            await self._endpoint
        return await super().__aenter__()

    async def send(self, message: Json) -> None:
        """See `LegacyClient.send`."""
        response = await self._http.post(self._endpoint.result(), json=message)
        assert response.status_code == 202, f"{response.status_code} {response.text} for {message}"

    async def _read(self) -> None:
        async with self._http.stream("GET", self._url, headers={"accept": "text/event-stream"}) as response:
            assert response.status_code == 200, response.status_code
            async for kind, data in events(response):
                if kind == "endpoint":
                    self._endpoint.set_result(urljoin(self._url, data))
                else:
                    self.take(json.loads(data))


class WebSocketClient(LegacyClient):
    """WebSocket: each text frame is a message."""

    def __init__(self, revision: str, http: aiohttp.ClientSession, url: str) -> None:
        super().__init__(revision)
        self._http = http
        self._url = url

    async def __aenter__(self) -> "LegacyClient":
        self._socket = await self._http.ws_connect(self._url, protocols=("mcp",))
        assert self._socket.protocol == "mcp"
        self.background(self._read())
        return await super().__aenter__()

    async def send(self, message: Json) -> None:
        """See `LegacyClient.send`."""
        await self._socket.send_json(message)

    async def close(self) -> None:
        """See `Client.close`."""
        await self._socket.close()
        await super().close()

    async def _read(self) -> None:
        async for frame in self._socket:
            self.take(json.loads(frame.data))
