"""What clients of every revision and transport have in common: they ask, are asked, and are told.

All is raw JSON, so that each revision's form on the wire is what the test says and not what a library makes of it.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

import httpx

SECONDS: Final = 20.0
"""For whatever should come at once; a busy machine takes longer than one would think."""

Json = dict[str, Any]

NAME: Final[Json] = {"name": "cross-era", "version": "1"}

ANSWERS: Final[dict[str, Json]] = {
    "elicitation/create": {"action": "accept", "content": {"name": "Ada", "size": "l"}},
    "sampling/createMessage": {"role": "assistant", "content": {"type": "text", "text": "hi"}, "model": "m"},
    "roots/list": {"roots": [{"uri": "file:///home/ada", "name": "home"}]},
}
"""What clients answer to a question, by its method."""


@dataclass(frozen=True)
class Answer:
    """What came of a request: a `result`, or an `error`."""

    result: Json | None = None
    error: Json | None = None

    @property
    def value(self) -> Json:
        """The result; there must be one."""
        assert self.result is not None, f"an error came: {self.error}"
        return self.result

    @property
    def text(self) -> str:
        """The first text of a tool's result, which did not fail."""
        assert not self.value.get("isError"), f"the tool failed: {self.value}"
        return str(self.value["content"][0]["text"])

    @property
    def trouble(self) -> str:
        """How it failed, with a JSON-RPC error or in a tool's result; empty if it did not."""
        if self.error is not None:
            return f"{self.error['code']} {self.error['message']}"
        return "\n".join(block["text"] for block in self.value["content"]) if self.value.get("isError") else ""


@dataclass(frozen=True)
class Running:
    """A request that was sent, under this id."""

    id: Any
    answer: asyncio.Task[Answer]


class Client(ABC):
    """One client of one endpoint; entered, it is ready to ask."""

    def __init__(self, revision: str) -> None:
        self.revision = revision
        self.answers = dict(ANSWERS)
        self.asked: list[Json] = []
        """The `method` and `params` of every question that came, in order."""
        self.told: list[Json] = []
        """The same of every notification."""

    async def request(
        self, method: str, params: Json | None = None, *, meta: Json | None = None, level: str | None = None
    ) -> Answer:
        """Send a request and wait for its answer.

        Args:
            method: the JSON-RPC method.
            params: its parameters.
            meta: members for `params._meta`, `progressToken` for one.
            level: the log level that this request wants, in revisions where it is said with the request.
        """
        return await self.begin(method, params, meta=meta, level=level).answer

    async def call(self, tool: str, /, **arguments: Any) -> Answer:
        """Call a tool."""
        return await self.request("tools/call", {"name": tool, "arguments": arguments})

    @abstractmethod
    def begin(
        self, method: str, params: Json | None = None, *, meta: Json | None = None, level: str | None = None
    ) -> Running:
        """Send a request, and do not wait."""

    @abstractmethod
    async def cancel(self, running: Running) -> None:
        """Cancel a request in the manner of the revision."""

    @abstractmethod
    async def want_logs(self, level: str) -> None:
        """Say once what log messages are wanted, where the revision has that."""

    @abstractmethod
    def following(self, uri: str) -> AbstractAsyncContextManager[None]:
        """Hear of changes of the lists and of a resource for a while."""

    @abstractmethod
    async def close(self) -> None:
        """Leave."""

    def heard(self, method: str) -> list[Json]:
        """The parameters of the notifications of this method."""
        return [message.get("params", {}) for message in self.told if message["method"] == method]

    def questions(self, method: str) -> list[Json]:
        """The parameters of the questions of this method."""
        return [message.get("params", {}) for message in self.asked if message["method"] == method]

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    """The type and the data of every event of a stream; comments and events without data are passed over."""
    kind, data = "message", ""
    async for line in response.aiter_lines():
        if line.startswith("event:"):
            kind = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()
        elif not line:
            if data:
                yield kind, data
            kind, data = "message", ""


async def messages(response: httpx.Response) -> AsyncIterator[Json]:
    """The JSON-RPC messages in a response, be it JSON or a stream of events."""
    if response.headers["content-type"].startswith("text/event-stream"):
        async for kind, data in events(response):
            assert kind == "message", f"an event of type {kind!r}"
            yield json.loads(data)
    else:
        yield json.loads(await response.aread())
