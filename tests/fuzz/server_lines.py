"""Lines of a server's standard output, through the transport and the adapter of either era, with calls under way.

Who started a call hears how it ended, once; what he hears before is JSON; and nothing comes after.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from actors.core import jsonrpc
from actors.core.call import Call
from actors.core.endpoints import StdioEndpoint
from actors.core.jsonrpc import Message, decode_message
from actors.core.listing import Listing
from actors.core.outcome import Outcome, Reply
from actors.transports.stdio import StdioTransport
from actors.upstream.asking import Asking, UpstreamError
from actors.upstream.handshake import HandshakeUpstream
from actors.upstream.modern import ModernUpstream
from actors.upstream.upstream import Upstream
from tests.fuzz.fuzzing import Found, turning
from tests.fuzz.mutations import Mutator
from tests.fuzz.seeds import META, NOTIFICATIONS, as_json, responses
from tests.support.upstreams import SILENCE, Json, TableServer, always, echo, handshake_server, modern_server, tool

LIMIT: Final = 8192
SECONDS: Final = 10.0
MAX_CALLS: Final = 6
INPUTS_A_SERVER: Final = 400
CAPABILITIES: Final = as_json(META["io.modelcontextprotocol/clientCapabilities"])
SERVER_CAPABILITIES: Final = {
    "tools": {"listChanged": True},
    "resources": {"subscribe": True},
    "prompts": {},
    "logging": {},
}
LISTS: Final = ("tools/list", "resources/list", "resources/templates/list", "prompts/list")
METHODS: Final = ("tools/call", "tools/call", "prompts/get", "resources/read", "completion/complete")
ANSWERS: Final[list[Json]] = [{"result": {"action": "accept"}}, {"error": {"code": -1, "message": "no"}}, {}]


class _Pipe(StdioTransport):
    """A transport whose server is a function: what is written goes there, what it says comes as its output."""

    def __init__(self, server: Callable[[Message], Iterable[bytes]]) -> None:
        super().__init__(StdioEndpoint(command="none"), name="fuzz", max_message_bytes=LIMIT)
        self._server = server
        self._refusal = None

    def output(self, data: bytes) -> None:
        """The server says this."""
        self._on_stdout(data)

    def _write(self, body: bytes) -> None:
        for answer in self._server(decode_message(body)):
            asyncio.get_running_loop().call_soon(self.output, answer + b"\n")


class _Caller:
    """Who started a call; checks what he hears."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self.answers: deque[Callable[[bytes], None]] = deque(maxlen=4)
        self._asked = 0

    def progress(self, params: bytes) -> None:
        self._hear(params)

    def log(self, params: bytes) -> None:
        self._hear(params)

    def ask(self, data: bytes, answered: Callable[[bytes], None]) -> int | None:
        self._hear(data)
        self.answers.append(answered)
        self._asked += 1
        return self._asked

    def withdraw(self, number: int) -> None:
        """He asks no client."""

    def finished(self, outcome: Outcome) -> None:
        if self.outcome is not None:
            raise Found(f"a call ended with {self.outcome}, and then with {outcome}")
        self.outcome = outcome
        if isinstance(outcome, Reply) and not outcome.is_error and not isinstance(json.loads(outcome.body), dict):
            raise Found(f"a call ended with {outcome.body!r}")

    def _hear(self, data: bytes) -> None:
        if self.outcome is not None:
            raise Found("something was heard after the outcome")
        if data:
            _loads(data)


class ServerLines:
    """A server of one era after the other, each with a few calls under way, whatever it says."""

    def __init__(self, *, modern: bool) -> None:
        self.last = b""
        self._modern = modern
        self._turns = 0
        self._canaries = 0
        self._calls: dict[int, _Caller] = {}
        self._spoilt: dict[str, bytes] = {}
        """Results, by method, that the server gives for now."""
        self._server: TableServer
        self._pipe: _Pipe
        self._upstream: Upstream

    async def begin(self) -> None:
        """Start another server, which answers as it should; only its lists may be spoilt later."""
        build = modern_server if self._modern else handshake_server
        self._server = build(tool("echo"), capabilities=SERVER_CAPABILITIES)
        self._server.answers |= {"resources/subscribe": always({}), "resources/unsubscribe": always({})}
        self._server.answers |= {method: always({}) for method in LISTS}
        self._server.answers["logging/setLevel"] = always({})
        self._pipe = _Pipe(self._heard)
        asking = Asking(self._pipe)
        if self._modern:
            modern = ModernUpstream(asking, "git", _ignore)
            await modern.discover(SECONDS)
            self._upstream = modern
        else:
            handshake = HandshakeUpstream(asking, "git", _ignore)
            await handshake.initialize(SECONDS)
            self._upstream = handshake
        self._upstream.subscribe(frozenset(["file:///a"]))
        self._calls.clear()

    def end(self) -> None:
        """Let the server go."""
        for number in self._calls:
            self._upstream.cancel(number, "the end")
        self._upstream.stop()

    async def feed(self, mutator: Mutator) -> bool:
        """See `Target.feed`."""
        self._turns += 1
        if self._turns % INPUTS_A_SERVER == 0:
            self.end()
            await self.begin()
        self._replenish(mutator)
        match mutator.dice.randrange(40):
            case 0:
                await self._read_spoilt_lists(mutator)
            case 1:
                await self._begin_with_spoilt(mutator)
        self._say(mutator)
        self._answer(mutator)
        await asyncio.sleep(0)
        over = [number for number, caller in self._calls.items() if caller.outcome is not None]
        for number in over:
            del self._calls[number]
        return bool(over)

    async def canary(self) -> None:
        """See `Target.canary`: its answer is its own, in the middle of all this."""
        self._canaries += 1
        self._pipe.output(b"\n")  # what the last input left behind is a line of its own
        self._server.answers["tools/call"] = echo
        caller = _Caller()
        params = as_json({"name": "echo", "arguments": {"canary": self._canaries}})
        self._upstream.start(Call("tools/call", params, SECONDS, "echo"), caller)
        self._server.answers["tools/call"] = SILENCE
        await turning(lambda: caller.outcome is not None)
        if not isinstance(caller.outcome, Reply) or self._canaries != _canary_of(caller.outcome.body):
            raise Found(f"canary {self._canaries} got {caller.outcome}")

    def _heard(self, message: Message) -> Iterable[bytes]:
        self._server.heard.clear()
        spoilt = self._spoilt.get(message.method or "")
        return self._server(message) if spoilt is None else [jsonrpc.result_response(bytes(message.id), spoilt)]

    def _replenish(self, mutator: Mutator) -> None:
        for method in METHODS:
            self._server.answers[method] = SILENCE
        while len(self._calls) < MAX_CALLS:
            call = Call(
                mutator.dice.choice(METHODS),
                b'{"name":"echo","uri":"file:///a"}',
                SECONDS,
                "echo",
                capabilities=CAPABILITIES,
                wants_progress=mutator.chance(0.7),
                log_level=mutator.dice.choice((None, "debug", "error")),
                interactive=mutator.chance(0.5),
                principal=mutator.dice.choice(("", "", "somebody")),
            )
            caller = _Caller()
            self._calls[self._upstream.start(call, caller)] = caller
        if mutator.chance(0.05):
            self._upstream.cancel(*self._taken(mutator))

    def _taken(self, mutator: Mutator) -> tuple[int, str]:
        number = mutator.dice.choice(list(self._calls))
        del self._calls[number]
        return number, "enough"

    def _say(self, mutator: Mutator) -> None:
        ids = list(self._pipe._pending._sinks) or [0]
        request_id = mutator.dice.choice(ids)
        told = mutator.dice.choice([*responses(request_id), *_notifications(request_id)])
        line = mutator.json_of(told) if mutator.chance(0.5) else mutator.bytes_of([as_json(told), *LINES])
        self.last = line + mutator.dice.choice((b"\n", b"\n", b"\r\n", b"\n\n", b""))
        for piece in mutator.pieces(self.last):
            self._pipe.output(piece)

    def _answer(self, mutator: Mutator) -> None:
        """A client answers, in whatever form its own envelope lets through."""
        for caller in self._calls.values():
            if caller.answers and mutator.chance(0.5):
                caller.answers.popleft()(_spoilt(mutator, mutator.dice.choice(ANSWERS)))

    async def _read_spoilt_lists(self, mutator: Mutator) -> None:
        self._pipe.output(b"\n")  # what the last input left behind is a line of its own
        items = [{"name": "a", "uri": "file:///a", "uriTemplate": "file:///{x}", "inputSchema": SCHEMA}]
        page = {"tools": items, "resources": items, "resourceTemplates": items, "prompts": items}
        self._spoilt = {method: _spoilt(mutator, page) for method in LISTS}
        try:
            await self._upstream.list_everything(Listing())
        except UpstreamError:
            return
        finally:
            self._spoilt = {}

    async def _begin_with_spoilt(self, mutator: Mutator) -> None:
        """Speak for the first time with a server whose introduction is spoilt."""
        method = "server/discover" if self._modern else "initialize"
        introduction = _spoilt(mutator, self._server.answers[method]({}))

        def server(message: Message) -> Iterable[bytes]:
            return [jsonrpc.result_response(bytes(message.id), introduction)] if message.method == method else ()

        asking = Asking(_Pipe(server))
        modern, handshake = ModernUpstream(asking, "git", _ignore), HandshakeUpstream(asking, "git", _ignore)
        try:
            await (modern.discover(SECONDS) if self._modern else handshake.initialize(SECONDS))
        except UpstreamError:
            return
        finally:
            modern.stop()
            handshake.stop()


SCHEMA: Final = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "A"}}}
LINES: Final = [as_json([*NOTIFICATIONS[:2], *responses(3)[:1]]), b"Starting up...", b"", b"[]"]


def _ignore(_message: Message) -> None:
    """Nobody is interested in notifications that belong to no call."""


def _notifications(request_id: int) -> list[Json]:
    progress = {"progressToken": request_id, "progress": 1}
    return [*NOTIFICATIONS, {"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}]


def _spoilt(mutator: Mutator, result: Json | None) -> bytes:
    """A spoilt result in an envelope that can be read: to a broken one the transport alone has an answer."""
    spoilt = mutator.json_of(result)
    for candidate in (mutator.bytes_of([spoilt]), mutator.bytes_of([spoilt]), spoilt):
        try:
            decode_message(jsonrpc.result_response(b"1", candidate))
        except msgspec.DecodeError:
            continue
        return candidate
    return b"{}"


def _canary_of(body: bytes) -> Any:
    return json.loads(json.loads(body)["content"][0]["text"])["canary"]


def _loads(data: bytes) -> None:
    try:
        json.loads(data)
    except RecursionError:
        return  # the limit of the standard library, not ours
    except ValueError as error:
        if "digits" not in str(error):
            raise


async def _running(*, modern: bool) -> ServerLines:
    target = ServerLines(modern=modern)
    await target.begin()
    return target


@asynccontextmanager
async def handshake_lines() -> AsyncIterator[ServerLines]:
    """The target, of the handshake era."""
    target = await _running(modern=False)
    yield target
    target.end()


@asynccontextmanager
async def modern_lines() -> AsyncIterator[ServerLines]:
    """The target, of the modern era."""
    target = await _running(modern=True)
    yield target
    target.end()
