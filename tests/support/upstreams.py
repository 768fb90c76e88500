"""Servers that are tables of answers, calls to them, and a listener that remembers."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from actors.core import jsonrpc
from actors.core.call import Call
from actors.core.jsonrpc import Message
from actors.core.outcome import Outcome
from actors.core.revisions import LATEST_HANDSHAKE, LATEST_MODERN
from actors.transports.memory import MemoryTransport
from tests.support.recorder import LIMIT

Json = dict[str, Any]
Answer = Callable[[Json], Json | None]
"""Gives the result for some parameters; nothing is silence."""


class Refuse(Exception):  # noqa: N818
    """Answer with a JSON-RPC error."""

    def __init__(self, code: int, message: str = "no", data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class TableServer:
    """Answers requests from a table and keeps everything it hears; methods not in the table are unknown."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = dict(answers)
        self.heard: list[Json] = []

    def __call__(self, message: Message) -> Iterable[bytes]:
        raw = {"id": message.id, "params": message.params, "result": message.result, "error": message.error}
        heard = {key: json.loads(bytes(value)) for key, value in raw.items() if value}
        self.heard.append(heard | ({"method": message.method} if message.method else {}))
        if message.method is None or not message.id:
            return ()
        try:
            result = self.answers.get(message.method, _unknown)(heard.get("params", {}))
        except Refuse as refusal:
            return [jsonrpc.error_response(message.id, jsonrpc.error(refusal.code, refusal.message, refusal.data))]
        return () if result is None else [jsonrpc.result_response(message.id, json.dumps(result).encode())]

    @property
    def methods(self) -> list[str]:
        """The methods heard, in order."""
        return [heard["method"] for heard in self.heard if "method" in heard]

    def params_of(self, method: str) -> list[Json]:
        """The parameters of every message with this method."""
        return [heard["params"] for heard in self.heard if heard.get("method") == method]

    def ids_of(self, method: str) -> list[int]:
        """The request ids of every request with this method."""
        return [heard["id"] for heard in self.heard if heard.get("method") == method]


def _unknown(_: Json) -> Json:
    raise Refuse(jsonrpc.METHOD_NOT_FOUND, "unknown method")


def refuse(code: int, message: str = "no") -> Answer:
    """An answer that is an error."""

    def answer(_: Json) -> Json:
        raise Refuse(code, message)

    return answer


def always(result: Json | None) -> Answer:
    """The same answer every time."""
    return lambda _: result


SILENCE = always(None)


def tool(name: str, **more: Any) -> Json:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def echo(params: Json) -> Json:
    """A tool that gives its arguments back."""
    return {"content": [{"type": "text", "text": json.dumps(params.get("arguments"))}]}


def handshake_server(*tools: Json, capabilities: Json | None = None, revision: str = LATEST_HANDSHAKE) -> TableServer:
    """A server of the handshake era that knows nothing of the modern one."""
    initialized = {
        "protocolVersion": revision,
        "capabilities": {"tools": {}} if capabilities is None else capabilities,
        "serverInfo": {"name": "old", "version": "1"},
    }
    return TableServer(
        {
            "initialize": always(initialized),
            "tools/list": always({"tools": list(tools)}),
            "tools/call": echo,
        }
    )


def modern_server(*tools: Json, capabilities: Json | None = None, revision: str = LATEST_MODERN) -> TableServer:
    """A server of the modern era; a subscription to it stays open."""
    discovered = {
        "resultType": "complete",
        "supportedVersions": [revision],
        "capabilities": {"tools": {}} if capabilities is None else capabilities,
        "instructions": "be modern",
        "_meta": {jsonrpc.SERVER_INFO_KEY: {"name": "new", "version": "2"}},
    }
    return TableServer(
        {
            "server/discover": always(discovered),
            "subscriptions/listen": SILENCE,
            "tools/list": always({"tools": list(tools), "resultType": "complete"}),
            "tools/call": lambda params: {**echo(params), "resultType": "complete"},
        }
    )


async def memory_to(server: Callable[[Message], Iterable[bytes]], **options: Any) -> MemoryTransport:
    """A transport connected to this server."""
    transport = MemoryTransport(server, **options)
    await transport.connect()
    return transport


def tool_call(name: str = "echo", arguments: Json | None = None, **fields: Any) -> Call:
    """A call of a tool."""
    params = json.dumps({"name": name, "arguments": arguments or {}}).encode()
    return Call(**{"method": "tools/call", "params": params, "time_left": LIMIT, "name": name, **fields})


class ListenerRecorder:
    """Everything one call heard."""

    def __init__(self, *, may_be_asked: bool = True) -> None:
        self.outcomes: list[Outcome] = []
        self.progressed: list[Json] = []
        self.logged: list[Json] = []
        self.asked: list[Json] = []
        """The questions, in order; each is numbered by its place."""
        self.withdrawn: list[int] = []
        self._answered: list[Callable[[bytes], None]] = []
        self._may_be_asked = may_be_asked
        self._finished = asyncio.Event()

    def progress(self, params: bytes) -> None:
        self.progressed.append(json.loads(params))

    def log(self, params: bytes) -> None:
        self.logged.append(json.loads(params))

    def ask(self, data: bytes, answered: Callable[[bytes], None]) -> int | None:
        if not self._may_be_asked:
            return None
        self.asked.append(json.loads(data))
        self._answered.append(answered)
        return len(self.asked) - 1

    def withdraw(self, number: int) -> None:
        self.withdrawn.append(number)

    def answer(self, number: int = -1, **answer: Any) -> None:
        """Answer a question, the latest if none is named: with `result` or `error`."""
        self._answered[number](json.dumps(answer).encode())

    def finished(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._finished.set()

    async def outcome(self) -> Outcome:
        """Wait for what became of the call; it became one thing only."""
        async with asyncio.timeout(LIMIT):
            await self._finished.wait()
        (outcome,) = self.outcomes
        return outcome


async def ticks(count: int = 20) -> None:
    """Let everything that is ready run, and what becomes ready by that."""
    for _ in range(count):
        await asyncio.sleep(0)
