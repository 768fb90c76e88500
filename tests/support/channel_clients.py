"""Clients of the doors whose connections go both ways, each in the same process as the gateway."""

import asyncio
import json
from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol

from actors.core.sse import SseDecoder
from tests.support.asgi import MIB, Conversation, Headers, start
from tests.support.bus import WAIT_SECONDS, until
from tests.support.house import Doorway


class Wire(Protocol):
    """A connection, as a client sees it."""

    @property
    def messages(self) -> list[Any]:
        """What has come, as JSON, in order."""

    async def open(self) -> None:
        """Connect."""

    async def send(self, text: str) -> None:
        """Send one message."""

    async def leave(self) -> None:
        """Vanish; the server cancels the application's task then, as Ray Serve does."""

    @property
    def closed(self) -> bool:
        """Whether the gateway has ended the connection."""


class SseWire:
    """HTTP+SSE; what is posted may go to another doorway."""

    def __init__(
        self, doorway: Doorway, path: str = "", headers: Headers = (), posts_to: Doorway | None = None
    ) -> None:
        self._doorway = doorway
        self._posts_to = posts_to or doorway
        self._path = path
        self._headers = list(headers)
        self.address = ""
        """Where the gateway wants messages to be posted."""
        self.stream: Conversation

    @property
    def messages(self) -> list[Any]:
        events = SseDecoder(MIB).feed(self.stream.body)
        return [json.loads(event.data) for event in events if event.event == "message"]

    @property
    def closed(self) -> bool:
        return self.stream.whole

    async def open(self) -> None:
        self.stream = start(
            self._doorway, "GET", f"{self._path}/sse", [*self._headers, ("accept", "text/event-stream")]
        )
        await self.stream.until(lambda stream: b"\n\n" in stream.body)
        (first,) = SseDecoder(MIB).feed(self.stream.body)
        assert first.event == "endpoint"
        self.address = first.data.decode()

    async def send(self, text: str) -> None:
        posted = await self.post(text.encode())
        assert (posted.status, posted.body) == (202, b"")

    async def post(self, body: bytes, headers: Headers | None = None) -> Conversation:
        given = self._headers if headers is None else headers
        return await start(self._posts_to, "POST", self.address, given, [body]).answered()

    async def leave(self) -> None:
        await self.stream.leave()


class WsWire:
    """A WebSocket."""

    def __init__(
        self,
        doorway: Doorway,
        path: str = "",
        headers: Headers = (),
        *,
        subprotocols: tuple[str, ...] = ("mcp",),
        extensions: tuple[str, ...] = ("websocket.http.response",),
    ) -> None:
        self.sent: list[Mapping[str, Any]] = []
        """The ASGI messages of the gateway."""
        self.reads = True
        """Whether the client reads what the gateway sends; if not, the gateway waits."""
        self._doorway = doorway
        given = [("host", "127.0.0.1:8080"), *headers]
        self.scope = {
            "type": "websocket",
            "path": f"{path}/ws",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in given],
            "subprotocols": list(subprotocols),
            "extensions": {name: {} for name in extensions},
        }
        self._incoming: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None]

    @property
    def messages(self) -> list[Any]:
        return [json.loads(each["text"]) for each in self.sent if each["type"] == "websocket.send"]

    @property
    def accepted(self) -> Mapping[str, Any] | None:
        return next((each for each in self.sent if each["type"] == "websocket.accept"), None)

    @property
    def code(self) -> int | None:
        """With which the gateway closed the connection."""
        return next((each["code"] for each in self.sent if each["type"] == "websocket.close"), None)

    @property
    def closed(self) -> bool:
        return self.code is not None

    async def open(self) -> None:
        self.start()
        await until(lambda: bool(self.sent))

    def start(self) -> None:
        self._incoming.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.ensure_future(self._doorway.ingress.connect(self.scope, self._incoming.get, self._send))

    async def send(self, text: str) -> None:
        self.put(text=text)

    def put(self, **frame: Any) -> None:
        self._incoming.put_nowait({"type": "websocket.receive", **frame})

    def disconnect(self) -> None:
        """Close the connection as a client does that says so."""
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def ended(self) -> None:
        """Wait until the gateway is done with this connection."""
        async with asyncio.timeout(WAIT_SECONDS):
            await self._task

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _send(self, message: Mapping[str, Any]) -> None:
        await until(lambda: self.reads)
        self.sent.append(message)


class ChannelClient:
    """Speaks MCP of the handshake era over a wire."""

    def __init__(self, wire: Wire, revision: str = "2025-11-25") -> None:
        self.wire = wire
        self.revision = revision

    async def initialize(self, capabilities: Mapping[str, Any] | None = None) -> Any:
        """Connect and open a session; gives the answer."""
        await self.wire.open()
        info = {"name": "test", "version": "1"}
        params = {"protocolVersion": self.revision, "capabilities": dict(capabilities or {}), "clientInfo": info}
        answer = await self.ask("initialize", params, request_id="init")
        await self.tell("notifications/initialized")
        return answer

    async def send(self, message: Any) -> None:
        await self.wire.send(json.dumps(message))

    async def tell(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification."""
        await self.send({"jsonrpc": "2.0", "method": method, "params": dict(params or {})})

    async def start(self, method: str, params: Mapping[str, Any] | None = None, *, request_id: Any = 1) -> None:
        """Send a request, and do not wait."""
        await self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": dict(params or {})})

    async def ask(self, method: str, params: Mapping[str, Any] | None = None, *, request_id: Any = 1) -> Any:
        """Send a request, and wait for its answer."""
        await self.start(method, params, request_id=request_id)
        return await self.answer_to(request_id)

    async def answer_to(self, request_id: Any) -> Any:
        """Wait for the answer to a request."""
        await until(lambda: any(self._answers(request_id)))
        return next(self._answers(request_id))

    async def heard(self, method: str, count: int = 1) -> list[Any]:
        """Wait until so many messages of a method have come; gives all of them."""
        await until(lambda: len(self.of(method)) >= count)
        return self.of(method)

    def of(self, method: str) -> list[Any]:
        return [each for each in self.wire.messages if isinstance(each, dict) and each.get("method") == method]

    def _answers(self, request_id: Any) -> Any:
        found = (each for each in self.wire.messages if isinstance(each, dict) and "method" not in each)
        return (each for each in found if each.get("id") == request_id)
