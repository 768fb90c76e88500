"""A closed-loop HTTP/1.1 client: one connection, one request at a time, the next as soon as the last is answered.

It does no more than it must, because it shares the machine with what it measures: no task per request, requests that
are joined from bytes, a parser that knows only what MCP endpoints send.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from load.calls import Era, Question, Wire, objection

MAX_RESPONSE_BYTES: Final = 16 * 1024 * 1024
"""Beyond it the response is not an answer to anything asked here."""

MAX_REASONS: Final = 10
"""Objections counted by name; a server's messages may differ with every answer."""

ANSWER_SECONDS: Final = 30.0
"""Longer than this for one answer counts as none."""


class Response(NamedTuple):
    """One HTTP response."""

    status: int
    head: bytes
    """Status line and headers as they came."""
    body: bytes

    def header(self, name: str) -> str:
        """A header's value, empty if it is not there; `name` in lower case."""
        return _header(self.head, self.head.lower(), name.encode()).decode("latin-1")


def _header(head: bytes, lowered: bytes, name: bytes) -> bytes:
    start = lowered.find(b"\r\n%b:" % name)
    if start < 0:
        return b""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else None].strip()


class ResponseReader:
    """Takes bytes, gives responses; one at a time, as there is only one request at a time."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Response | None:
        """Add what arrived; a response, once it is complete.

        Raises:
            ValueError: it is not HTTP as expected here, too large, or there is more than one response.
        """
        self._data += data
        if len(self._data) > MAX_RESPONSE_BYTES:
            raise ValueError("response too large")
        head_end = self._data.find(b"\r\n\r\n")
        if head_end < 0:
            return None
        head = bytes(self._data[:head_end])
        lowered = head.lower()
        if not lowered.startswith(b"http/1.1 "):
            raise ValueError("not HTTP/1.1")
        body_start = head_end + 4
        if b"\r\ntransfer-encoding: chunked" in lowered:
            if not self._data.endswith(b"0\r\n\r\n"):
                return None
            body = _joined(bytes(self._data[body_start:]))
            if body is None:
                return None
        else:
            size = int(_header(head, lowered, b"content-length") or b"0")
            if len(self._data) < body_start + size:
                return None
            body = bytes(self._data[body_start:])
            if len(body) != size:
                raise ValueError("more than one response")
        self._data.clear()
        return Response(int(head[9:12]), head, body)


def _joined(chunked: bytes) -> bytes | None:
    """The body from its chunks; nothing if the last has not come."""
    parts: list[bytes] = []
    position = 0
    while True:
        line_end = chunked.find(b"\r\n", position)
        if line_end < 0:
            return None
        size = int(chunked[position:line_end].split(b";")[0], 16)
        start = line_end + 2
        position = start + size + 2
        if position > len(chunked):
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(chunked[start : start + size])


@dataclass(slots=True)
class Measured:
    """What one connection, or several, saw."""

    latencies: list[float] = field(default_factory=list)
    """Seconds, one of each right answer."""
    failures: Counter[str] = field(default_factory=Counter)
    """How often which objection was met; a few of them by name, the rest as one."""

    def fail(self, reason: str) -> None:
        """Count an objection."""
        self.failures[reason if reason in self.failures or len(self.failures) < MAX_REASONS else "other"] += 1

    def merge(self, other: "Measured") -> None:
        """Add what another connection saw."""
        self.latencies += other.latencies
        self.failures += other.failures


class ClosedLoop(asyncio.Protocol):
    """One connection of a client that asks, waits, checks, and asks again."""

    def __init__(self, wire: Wire, host: str, path: str, clock: Callable[[], float]) -> None:
        self._wire = wire
        self._start_line = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n"
        self._clock = clock
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Response] | None = None
        self._looping: asyncio.Future[None] | None = None
        self._measured = Measured()
        self._question: Question | None = None
        self._asked_at = self._until = 0.0
        self._call_head = b""

    async def open(self, era: Era) -> None:
        """Make the connection ready for calls; in the legacy era this opens a session.

        Raises:
            ConnectionError: it was refused, in whatever way.
        """
        if era is Era.LEGACY:
            question = self._wire.initialize()
            response = await self._exchange(question)
            reason = objection(question, response.status, response.header("content-type"), response.body)
            if reason is not None:
                raise ConnectionError(f"initialize: {reason}")
            self._wire.session = response.header("mcp-session-id") or None
            response = await self._exchange(self._wire.initialized())
            if response.status != 202:
                raise ConnectionError(f"initialized: status {response.status}")
        self._call_head = self._head(self._wire.call())

    async def run(self, seconds: float) -> Measured:
        """Call for so long; the call that is under way at the end is waited for and counted."""
        self._measured = Measured()
        if self._transport is None or self._transport.is_closing():
            self._measured.fail("connection lost")
            return self._measured
        self._until = self._clock() + seconds
        self._looping = asyncio.get_running_loop().create_future()
        self._ask()
        try:
            await asyncio.wait_for(self._looping, seconds + ANSWER_SECONDS)
        except TimeoutError:
            self._measured.fail("no answer in time")
        return self._measured

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # not a subclass of it with uvloop

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            response = self._reader.feed(data)
        except ValueError as error:
            self._lost(str(error))
            self.close()
            return
        if response is None:
            return
        if self._answered is not None:
            answered, self._answered = self._answered, None
            if not answered.done():
                answered.set_result(response)
        else:
            self._check(response)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._lost("connection lost")

    def _lost(self, reason: str) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError(reason))
        if self._looping is not None and not self._looping.done():
            self._measured.fail(reason)
            self._looping.set_result(None)

    def _ask(self) -> None:
        self._question = self._wire.call()
        self._asked_at = self._clock()
        self._write(self._call_head, self._question)

    def _check(self, response: Response) -> None:
        now = self._clock()
        assert self._question is not None
        reason = objection(self._question, response.status, response.header("content-type"), response.body)
        if reason is None:
            self._measured.latencies.append(now - self._asked_at)
        else:
            self._measured.fail(reason)
        if now < self._until:
            self._ask()
        elif self._looping is not None and not self._looping.done():
            self._looping.set_result(None)

    async def _exchange(self, question: Question) -> Response:
        self._answered = asyncio.get_running_loop().create_future()
        self._write(self._head(question), question)
        return await asyncio.wait_for(self._answered, ANSWER_SECONDS)

    def _head(self, question: Question) -> bytes:
        headers = "".join(f"{name}: {value}\r\n" for name, value in question.headers.items())
        return (self._start_line + headers).encode()

    def _write(self, head: bytes, question: Question) -> None:
        assert self._transport is not None
        self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(question.body), question.body))
