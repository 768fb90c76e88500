"""Between a client on standard streams and the gateway: which era a message is of, what is open, when it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from actors.core import jsonrpc
from actors.core.lines import Line, LineSplitter, Overlong
from actors.core.outcome import FailureKind
from actors.core.revisions import Era
from serve_app.stdio.endpoint import Endpoint
from serve_app.stdio.following import USUAL_PAUSES, Pauses
from serve_app.stdio.incoming import Answered, Asked, Batch, Refused, Told, id_key, read, read_overlong, refusal
from serve_app.stdio.legacy import INITIALIZE, Legacy
from serve_app.stdio.modern import Modern
from serve_app.stdio.streams import Input, Output

MAX_UNSENT: Final = 256
"""Notifications and answers that wait their turn; more, and the client waits."""
SEND_SECONDS: Final = 30.0
"""How long one of them may take: those behind it wait."""
FLUSH_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 0.5

CANCELLED: Final = "notifications/cancelled"
LISTEN: Final = "subscriptions/listen"
BATCHING: Final = "2025-03-26"
"""The one revision with batches."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one client may have."""

    max_line_bytes: int = 16 * 1024 * 1024
    """Of one message of the client; the gateway's own limit is usually lower."""
    max_open: int = 1024
    """Requests that are open at once; more are refused."""
    max_open_bytes: int = 64 * 1024 * 1024
    """Of all open requests together, as they came."""
    answer_seconds: float = 1.0
    """How long running calls may go on once the client has closed its end: SDKs send TERM after two seconds."""


USUAL_LIMITS: Final = Limits()


@dataclass(slots=True, eq=False)
class _Open:
    asked: Asked
    era: Era
    task: asyncio.Task[bytes]


class Bridge:
    """One conversation. Made and used in one event loop."""

    def __init__(
        self, out: Output, endpoint: Endpoint, pauses: Pauses = USUAL_PAUSES, limits: Limits = USUAL_LIMITS
    ) -> None:
        self._limits = limits
        self._out = out
        self._endpoint = endpoint
        self._modern = Modern(endpoint, out.write)
        self._legacy = Legacy(endpoint, out.write, pauses)
        self._era = Era.HANDSHAKE
        self._open: dict[str | int, _Open] = {}
        self._open_bytes = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unsent: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(MAX_UNSENT)
        self._sender: asyncio.Task[None] | None = None

    async def run(self, source: Input) -> None:
        """Take every line of the client, until it closes its end."""
        self._endpoint.start()
        self._sender = asyncio.create_task(self._send_in_order())
        splitter = LineSplitter(self._limits.max_line_bytes)
        while chunk := await source.chunk():
            for line in splitter.feed(chunk):
                await self._take(line)
        for line in splitter.finish():
            await self._take(line)

    async def close(self) -> None:
        """Give running calls a moment, then end everything; takes two seconds at most."""
        for one in list(self._open.values()):
            if one.asked.method == LISTEN:
                one.task.cancel()
        left = [*self._tasks, asyncio.ensure_future(self._unsent.join())]
        await asyncio.wait(left, timeout=self._limits.answer_seconds)
        for task in (*left, *self._tasks, *([] if self._sender is None else [self._sender])):
            task.cancel()
        await asyncio.wait([asyncio.ensure_future(self._out.flush())], timeout=FLUSH_SECONDS)
        await asyncio.wait([asyncio.ensure_future(self._part())], timeout=CLOSE_SECONDS)

    async def _part(self) -> None:
        await self._legacy.close()
        await self._endpoint.close()

    async def _take(self, line: Line) -> None:
        if isinstance(line, Overlong):
            limit = self._limits.max_line_bytes
            refused = read_overlong(line, limit)
            log.warning("line_refused", limit=limit)
            if refused is not None:
                await self._out.write(refused.response)
        elif line.strip():
            await self._take_message(read(line))

    async def _take_message(self, incoming: Asked | Told | Answered | Refused | Batch) -> None:
        match incoming:
            case Asked():
                self._spawn(self._write([self._ask(incoming)]))
            case Told():
                await self._tell(incoming)
            case Answered():
                await self._unsent.put(lambda: self._legacy.reply(incoming))
            case Refused(response):
                await self._out.write(response)
            case Batch(messages):
                await self._take_batch(messages)

    async def _take_batch(self, messages: tuple[Asked | Told | Answered | Refused, ...]) -> None:
        if self._era is not Era.HANDSHAKE or self._legacy.revision != BATCHING:
            refused = refusal(jsonrpc.INVALID_REQUEST, f"only revision {BATCHING} has batches")
            await self._out.write(refused.response)
            return
        answers: list[bytes | _Open] = []
        for message in messages:
            if isinstance(message, Asked):
                answers.append(self._ask(message))
            elif isinstance(message, Refused):
                answers.append(message.response)
            else:
                await self._take_message(message)
        if answers:
            self._spawn(self._write(answers, batch=True))

    def _ask(self, asked: Asked) -> "bytes | _Open":
        """Open a request, or give the response to one that cannot be."""
        if asked.key in self._open:
            return refusal(jsonrpc.INVALID_REQUEST, "a request with this id is still open", asked.id).response
        size = self._open_bytes + len(asked.body)
        if len(self._open) >= self._limits.max_open or size > self._limits.max_open_bytes:
            return _failed(asked, "too many requests are open", FailureKind.BUSY)
        era = self._era_of(asked)
        if era is Era.HANDSHAKE:
            self._legacy.announce(asked.method)
        one = self._open[asked.key] = _Open(asked, era, self._spawn(self._answer(asked, era)))
        self._open_bytes = size
        return one

    async def _answer(self, asked: Asked, era: Era) -> bytes:
        try:
            return await (self._modern.answer(asked) if era is Era.MODERN else self._legacy.answer(asked))
        except Exception:
            log.exception("request_failed", method=asked.method)
            return _failed(asked, "the bridge failed on this request; see its log", FailureKind.PROTOCOL)

    async def _write(self, answers: "Sequence[bytes | _Open]", *, batch: bool = False) -> None:
        """Write responses once all are there; a request stays open until its response is written."""
        try:
            lines = [line for one in answers if (line := await _line(one)) is not None]
            if lines:
                await self._out.write(b"[%b]" % b",".join(lines) if batch else lines[0])
        finally:
            for one in answers:
                if isinstance(one, _Open):
                    del self._open[one.asked.key]
                    self._open_bytes -= len(one.asked.body)

    def _era_of(self, message: Asked | Told) -> Era:
        """What the message shows itself to be, else what the client has shown to be.

        The first request decides; but a client that asks for `server/discover`, and is not content, may still send
        `initialize`.
        """
        if jsonrpc.PROTOCOL_VERSION_KEY in message.meta:
            self._era = Era.MODERN
        elif message.method == INITIALIZE:
            self._era = Era.HANDSHAKE
        return self._era

    async def _tell(self, told: Told) -> None:
        if told.method == CANCELLED:
            await self._cancel(told)
        elif self._era_of(told) is Era.MODERN:
            await self._unsent.put(lambda: self._modern.tell(told))
        else:
            self._legacy.announce(told.method)
            await self._unsent.put(lambda: self._legacy.tell(told))

    async def _cancel(self, told: Told) -> None:
        """Cancel an open request: closing its stream says so in the modern era, a notification in the older one."""
        key = id_key(bytes(told.params.get("requestId", b"")))
        one = None if key is None else self._open.get(key)
        if one is None or one.asked.method == INITIALIZE:  # answered meanwhile, or not to be cancelled
            return
        if one.era is Era.MODERN:
            one.task.cancel()
        else:
            await self._unsent.put(lambda: self._cancel_legacy(told, one))

    async def _cancel_legacy(self, told: Told, one: _Open) -> None:
        try:
            await self._legacy.tell(told)
        finally:
            one.task.cancel()

    async def _send_in_order(self) -> None:
        while True:
            send = await self._unsent.get()
            try:
                await self._legacy.settled()
                async with asyncio.timeout(SEND_SECONDS):
                    await send()
            except TimeoutError:
                log.warning("send_late", seconds=SEND_SECONDS)
            except Exception:
                log.exception("send_failed")
            finally:
                self._unsent.task_done()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _line(one: "bytes | _Open") -> bytes | None:
    """A response; nothing for a request that was cancelled: whoever cancels wants none."""
    if isinstance(one, bytes):
        return one
    await asyncio.wait([one.task])
    return None if one.task.cancelled() else one.task.result()


def _failed(asked: Asked, reason: str, kind: FailureKind) -> bytes:
    return jsonrpc.error_response(asked.id, jsonrpc.error(jsonrpc.INTERNAL_ERROR, reason, {"reason": kind.value}))
