"""Clients of both eras, as plain HTTP, that compare every answer with what they asked."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

MODERN: Final = "2026-07-28"
LEGACY: Final = "2025-11-25"
CLIENT: Final = {"name": "caller", "version": "1"}
META: Final = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}

ANSWER_SECONDS: Final = 40.0
"""Every call ends within this time; one that does not is an error of the gateway."""

Json = dict[str, Any]


class WrongAnswer(AssertionError):  # noqa: N818 - what happened
    """An answer that is not the one to the question: the one thing that must never happen."""


class NotAnswered(Exception):  # noqa: N818 - what became of a request, and it may be right so
    """There was no MCP answer: the connection broke, or the status was 5xx or 401, 403."""


@dataclass(frozen=True)
class Target:
    """A tool that says its argument `text` back, by the name of the aggregate, and its other arguments."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def backend(self) -> str:
        return self.tool.partition("__")[0]


@dataclass(frozen=True)
class Call:
    """One call and what became of it; times are those of `time.monotonic`."""

    caller: str
    backend: str
    text: str
    began: float
    ended: float
    trouble: str
    """Empty after the right answer; the `reason` of a JSON-RPC error, or what `NotAnswered` says."""
    tool: str = ""


class Caller:
    """One client with one connection, and a legacy one with one session for all its life."""

    _numbers = itertools.count(1)

    def __init__(self, url: str, key: str, *, legacy: bool) -> None:
        self.name = f"{'legacy' if legacy else 'modern'}-{next(self._numbers)}"
        self._url = url
        self._legacy = legacy
        self._headers = {"authorization": f"Bearer {key}", "accept": "application/json, text/event-stream"}
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ANSWER_SECONDS))
        self._requests = itertools.count(1)

    async def open(self) -> None:
        """Make ready for calls: in the legacy era, initialize a session."""
        if self._legacy:
            params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
            answer, headers = await self._post("initialize", params, {})
            assert answer["result"]["protocolVersion"] == LEGACY
            self._headers |= {"mcp-protocol-version": LEGACY, "mcp-session-id": headers["mcp-session-id"]}

    async def close(self) -> None:
        """End the connection."""
        await self._http.close()

    async def call(self, target: Target, text: str) -> Call:
        """Call a tool that says `text` back.

        Raises:
            WrongAnswer: it said anything else, and it was no error that names the reason and this backend.
        """
        began = time.monotonic()
        trouble = ""
        try:
            answer = await self.ask(
                "tools/call", {"name": target.tool, "arguments": {**target.arguments, "text": text}}
            )
        except NotAnswered as error:
            trouble = str(error)
        else:
            trouble = _trouble(answer, target.backend, text)
        return Call(self.name, target.backend, text, began, time.monotonic(), trouble, target.tool)

    async def tools(self) -> frozenset[str]:
        """The names in `tools/list`."""
        answer = await self.ask("tools/list", {})
        return frozenset(tool["name"] for tool in answer["result"]["tools"])

    async def ask(self, method: str, params: Json) -> Json:
        """Send one request; gives the whole response.

        Raises:
            NotAnswered: see there.
            WrongAnswer: the response has another id, or a status that no request of ours deserves.
        """
        headers: dict[str, str] = {}
        if not self._legacy:
            params = {"_meta": META, **params}
            headers = {"mcp-protocol-version": MODERN, "mcp-method": method}
            if "name" in params:
                headers["mcp-name"] = params["name"]
        answer, _ = await self._post(method, params, headers)
        return answer

    async def _post(self, method: str, params: Json, headers: Mapping[str, str]) -> tuple[Json, Mapping[str, str]]:
        number = f"{self.name}/{next(self._requests)}"
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        try:
            async with self._http.post(self._url, json=body, headers={**self._headers, **headers}) as response:
                content = await response.read()
        except aiohttp.ClientError as error:
            raise NotAnswered("connection") from error
        except TimeoutError as error:
            raise WrongAnswer(f"{method}: no answer within {ANSWER_SECONDS:g} s") from error
        if response.status >= 500 or response.status in (401, 403):
            raise NotAnswered(f"status {response.status}")
        if response.status != 200:
            raise WrongAnswer(f"{method}: status {response.status}, {content[:500]!r}")
        answer = _last_message(response.content_type, content)
        if answer.get("id") != number:
            raise WrongAnswer(f"asked as {number}, answered as {answer.get('id')}: {content[:500]!r}")
        return answer, response.headers


@dataclass
class Load:
    """Callers at work, and all their calls so far."""

    callers: list[Caller]
    calls: list[Call] = field(default_factory=list)

    @property
    def troubled(self) -> list[Call]:
        """The calls that did not bring their own answer."""
        return [call for call in self.calls if call.trouble]

    def since(self, moment: float) -> list[Call]:
        """The calls that began after a moment."""
        return [call for call in self.calls if call.began > moment]

    def right_since(self, moment: float) -> list[Call]:
        """Those of them that brought their own answer."""
        return [call for call in self.since(moment) if not call.trouble]

    async def call(self, number: int, target: Target, text: str) -> Call:
        """One more call, beside all others, by the caller of this number."""
        call = await self.callers[number % len(self.callers)].call(target, text)
        self.calls.append(call)
        return call


@asynccontextmanager
async def under_load(
    url: str, key: str, targets: tuple[Target, ...], *, callers: int = 16, texts: Callable[[], str]
) -> AsyncIterator[Load]:
    """Call the targets in turn, each caller as soon as it has its answer, until the block ends.

    Half of the callers are of each era. `texts` gives another text each time. A wrong answer ends the block at once.

    Raises:
        ExceptionGroup: of a WrongAnswer.
    """
    load = Load([Caller(url, key, legacy=number % 2 == 0) for number in range(callers)])
    ending = asyncio.Event()

    async def work(number: int) -> None:
        for turn in itertools.count(number):
            if ending.is_set():
                return
            await load.call(number, targets[turn % len(targets)], texts())

    try:
        await asyncio.gather(*(caller.open() for caller in load.callers))
        async with asyncio.TaskGroup() as group:
            for number in range(callers):
                group.create_task(work(number))
            yield load
            ending.set()
    finally:
        await asyncio.gather(*(caller.close() for caller in load.callers))


def _trouble(answer: Json, backend: str, text: str) -> str:
    if "error" in answer:
        data = answer["error"].get("data")
        if not isinstance(data, dict) or data.get("backend") != backend or not data.get("reason"):
            raise WrongAnswer(f"an error that does not name {backend}: {answer}")
        return str(data["reason"])
    if [piece.get("text") for piece in answer["result"]["content"]] != [text]:
        raise WrongAnswer(f"asked for {text!r}: {answer}")
    return ""


def _last_message(content_type: str, content: bytes) -> Json:
    """The response: the whole body, or the last event of a stream."""
    if content_type == "text/event-stream":
        content = content.rpartition(b"data:")[2]
    message: Json = json.loads(content)
    return message
