"""A server that is started here and spoken to over its standard streams, one JSON-RPC message a line.

Source: 2025-11-25, basic/transports, stdio, and basic/lifecycle, Shutdown; 2026-07-28 keeps both.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog

from actors.core.endpoints import StdioEndpoint
from actors.core.jsonrpc import Message, decode_message
from actors.core.lines import Line, LineSplitter, Overlong, answered_id
from actors.core.outcome import FailureKind
from actors.core.recurrence import Recurrence
from actors.transports.launch import Launch
from actors.transports.owned_process import OwnedProcess
from actors.transports.pending import Pending
from actors.transports.server_text import Redactor, ServerText
from actors.transports.transport import Sink

log = structlog.get_logger()

MAX_UNSENT_BYTES: Final = 8 * 1024 * 1024
"""Beyond it the server does not read, and new requests are refused: its slowness must not become our memory."""

_array_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])


class StdioTransport:
    """One server process, started once; see `Transport` for the contract.

    Args:
        endpoint: the command, its arguments, environment and directory.
        name: of the backend, for the log.
        max_message_bytes: the longest line accepted from the server; a call which got a longer one fails.
        environ: our own environment, of which the server sees a short list.
        eof_seconds: how long the server may take to end once its input is closed; then it gets TERM.
        term_seconds: how long it may take after TERM; then it and all its descendants get KILL.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        endpoint: StdioEndpoint,
        *,
        name: str,
        max_message_bytes: int,
        environ: Mapping[str, str] = os.environ,
        eof_seconds: float = 2.0,
        term_seconds: float = 2.0,
        max_unsent_bytes: int = MAX_UNSENT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.unsolicited: Callable[[Message], None] = lambda message: None
        self.closed: Callable[[str], None] = lambda reason: None
        self.forgotten: Callable[[], None] = lambda: None
        self.drop_cancels = False
        self._endpoint = endpoint
        self._name = name
        self._environ = environ
        self._eof_seconds = eof_seconds
        self._max_message_bytes = max_message_bytes
        self._max_unsent_bytes = max_unsent_bytes
        inherited = (environ.get(name, "") for name in endpoint.sandbox.inherit_env)
        self._redactor = Redactor((*endpoint.env.values(), *inherited))
        self._stderr = ServerText(name, self._redactor, clock)
        self._lines = LineSplitter(max_message_bytes)
        self._pending = Pending(name)
        self._process = OwnedProcess(
            name,
            on_stdout=self._on_stdout,
            on_stderr=self._stderr.feed,
            on_ended=self._on_ended,
            term_seconds=term_seconds,
        )
        self._used = False
        self._refusal: str | None = "it is not connected"
        self._start_failure: str | None = None
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._dropped = Recurrence()
        self._ignored = Recurrence()
        self._stopping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id, once it runs; it leads a process group of its own."""
        return self._process.pid

    @property
    def stderr_tail(self) -> tuple[str, ...]:
        """The last lines the server printed on its standard error, oldest first, without known secrets."""
        return tuple(self._stderr.tail)

    async def connect(self) -> None:
        """Start the server.

        Raises:
            OSError: it cannot be started, or ended at once; the message says why.
        """
        if self._used:
            raise OSError("a transport connects only once")
        self._used = True
        self._loop = asyncio.get_running_loop()
        await self._process.start(Launch.of(self._endpoint, self._environ))
        if self._start_failure is not None:
            raise ConnectionResetError(self._start_failure)
        self._refusal = None

    def open(self, request_id: int, body: bytes, headers: Mapping[str, str], sink: Sink) -> None:
        """See `Transport.open`."""
        if self._refusal is not None:
            sink.failed(FailureKind.UNAVAILABLE, self._refusal)
        elif self._is_clogged():
            sink.failed(FailureKind.BUSY, "the server does not read its input")
        elif not self._pending.add(request_id, sink):
            sink.failed(FailureKind.BUSY, "too many requests are open")
        else:
            self._write(body)

    def drop(self, request_id: int) -> None:
        """See `Transport.drop`."""
        self._pending.drop(request_id)

    def established(self, revision: str) -> None:
        """See `Transport.established`; there is nothing to do."""

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """See `Transport.send`."""
        if self._refusal is None and not self._is_clogged():
            self._write(body)
            return
        if self._dropped.again():
            reason = self._refusal or "the server does not read its input"
            log.warning("notification_dropped", backend=self._name, reason=reason, count=self._dropped.count)

    async def close(self) -> None:
        """See `Transport.close`; a cancelled close goes on by itself."""
        self._used = True
        self._refusal = "it is closed"
        self._pending.fail_all(FailureKind.DISCONNECTED, "the connection was closed")
        if self._stopping is None:
            self._flush()
            self._stopping = asyncio.create_task(self._process.stop(self._eof_seconds))
        await asyncio.shield(self._stopping)

    def _is_clogged(self) -> bool:
        return self._outgoing_bytes + self._process.unsent_bytes > self._max_unsent_bytes

    def _write(self, body: bytes) -> None:
        # What is written in one tick of the loop leaves in one write, and wakes the server once.
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing += (_on_one_line(body), b"\n")
        self._outgoing_bytes += len(body) + 1

    def _flush(self) -> None:
        if self._outgoing:
            self._process.write(b"".join(self._outgoing))
            self._outgoing.clear()
            self._outgoing_bytes = 0

    def _on_stdout(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._on_line(line)

    def _on_line(self, line: Line, *, whole: bool = True) -> None:
        """Take a line; one that the end of the server cut off fails no call, because the end itself does."""
        if isinstance(line, Overlong):
            self._fail_answered(line, FailureKind.TOO_LARGE, f"it has more than {self._max_message_bytes} bytes")
            self._ignore(line.head, "overlong")
            return
        try:
            messages = _messages(line)
        except (msgspec.DecodeError, RecursionError):
            if whole:
                self._fail_answered(Overlong(line, line), FailureKind.PROTOCOL, "its response is not valid JSON-RPC")
            self._ignore(line, "not JSON-RPC")
            return
        for message in messages:
            self._pending.dispatch(message, self.unsolicited)

    def _fail_answered(self, line: Overlong, kind: FailureKind, detail: str) -> None:
        request_id = answered_id(line)
        if request_id is not None:
            self._pending.fail(request_id, kind, detail)

    def _ignore(self, line: bytes, reason: str) -> None:
        if self._ignored.again():
            head, count = self._redactor.text(line[:200]), self._ignored.count
            log.warning("server_output_ignored", backend=self._name, reason=reason, head=head, count=count)

    def _on_ended(self, reason: str) -> None:
        for line in self._lines.finish():
            self._on_line(line, whole=False)
        self._stderr.finish()
        connected, self._refusal = self._refusal is None, reason
        # What a server prints may hold secrets: callers do not get it, the owner and the log do.
        self._pending.fail_all(FailureKind.DISCONNECTED, reason)
        described = f"{reason}: {self._stderr.last}" if self._stderr.last else reason
        if connected:
            self.closed(described)
        else:
            self._start_failure = described


def _on_one_line(body: bytes) -> bytes:
    # In valid JSON these two bytes are white space, wherever a client's formatting put them.
    if b"\n" in body or b"\r" in body:
        return body.replace(b"\n", b" ").replace(b"\r", b" ")
    return body


def _messages(line: bytes) -> list[Message]:
    """Decode a line: nothing, a message, or a batch (2025-03-26, basic, Batching)."""
    match line.lstrip()[:1]:
        case b"":
            return []
        case b"[":
            return [decode_message(item) for item in _array_decoder.decode(line)]
        case _:
            return [decode_message(line)]
