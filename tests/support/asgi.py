"""A client for an ASGI application in the same process, which may leave before it is answered, as real ones do."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from actors.core.sse import SseDecoder
from tests.support.bus import WAIT_SECONDS, until

Application = Callable[..., Awaitable[None]]
Headers = Iterable[tuple[str, str]]

MIB = 1024 * 1024


class Conversation:
    """One request on its way, and what has come back so far."""

    def __init__(self, application: Application, scope: Mapping[str, Any], parts: Iterable[bytes]) -> None:
        self.sent: list[MutableMapping[str, Any]] = []
        """The ASGI messages of the application."""
        self._parts = list(parts)
        self._gone = asyncio.Event()
        self._task = asyncio.ensure_future(application(dict(scope), self._receive, self._send))

    @property
    def status(self) -> int:
        """The HTTP status, 0 before there is one."""
        return int(self.sent[0]["status"]) if self.sent else 0

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name.decode(), value.decode()) for name, value in self.sent[0]["headers"]]

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The JSON of every complete event of the stream so far."""
        return [json.loads(event.data) for event in SseDecoder(MIB).feed(self.body) if event.data]

    @property
    def last_event_id(self) -> str:
        """What a client would come back with."""
        decoder = SseDecoder(MIB)
        decoder.feed(self.body)
        return decoder.last_event_id

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream of events."""
        return bool(self.sent) and self.header("content-type") == "text/event-stream"

    @property
    def whole(self) -> bool:
        """Whether the application has said everything."""
        return len(self.sent) > 1 and not self.sent[-1].get("more_body", False)

    @property
    def done(self) -> bool:
        """Whether the application has returned."""
        return self._task.done()

    async def answered(self) -> "Conversation":
        """Wait until the application has returned; what it raises is raised here."""
        async with asyncio.timeout(WAIT_SECONDS):
            await self._task
        return self

    async def until(self, condition: Callable[["Conversation"], bool]) -> None:
        """Wait until the condition holds of what has come back."""
        await until(lambda: condition(self))

    async def leave(self) -> None:
        """Close the connection. The server cancels the application's task then, as Ray Serve does."""
        self._gone.set()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def hang_up(self) -> None:
        """Close the connection, of which the application hears only if it receives."""
        self._gone.set()

    async def _receive(self) -> MutableMapping[str, Any]:
        if self._parts:
            return {"type": "http.request", "body": self._parts.pop(0), "more_body": bool(self._parts)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)


def start(
    application: Application, method: str, path: str, headers: Headers = (), parts: Iterable[bytes] = (b"",)
) -> Conversation:
    """Send a request, its body in parts, and do not wait."""
    given = list(headers)
    if "host" not in dict(given):
        given.append(("host", "127.0.0.1:8080"))
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given],
    }
    return Conversation(application, scope, parts)


async def ask(
    application: Application, method: str, path: str, headers: Headers = (), parts: Iterable[bytes] = (b"",)
) -> Conversation:
    """Send a request and wait for all of the answer."""
    return await start(application, method, path, headers, parts).answered()
