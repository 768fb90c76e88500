"""A URL that may be one of streamable HTTP or of HTTP+SSE: the server's answer to `initialize` tells which."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec
import structlog

from actors.core.jsonrpc import Message, decode_message
from actors.core.outcome import FailureKind
from actors.transports.http_failure import CLOSED, Unanswered, of_status
from actors.transports.transport import Sink, Transport

NOT_TAKEN: Final = frozenset({of_status(400), of_status(404), of_status(405)})
"""Refusals after which the older transport is tried; one with a JSON-RPC error in it is an answer instead."""

log = structlog.get_logger()


class HttpOrSseTransport:
    """Speaks through `http` until that refuses the first `initialize`, then through `sse` if that connects.

    Source: 2025-11-25, basic/transports, Backwards Compatibility. Both transports are new, and belong to this one from
    now on; nothing but that `initialize` is sent twice.
    """

    def __init__(self, http: Transport, sse: Transport, *, name: str) -> None:
        self.unsolicited: Callable[[Message], None] = lambda message: None
        self.closed: Callable[[str], None] = lambda reason: None
        self.forgotten: Callable[[], None] = lambda: None
        self.drop_cancels = http.drop_cancels
        self._http = http
        self._sse = sse
        self._name = name
        self._current = http
        self._is_decided = False
        self._falling: tuple[int, Sink, asyncio.Task[None]] | None = None
        for inner in (http, sse):
            inner.unsolicited = lambda message: self.unsolicited(message)
            inner.closed = lambda reason: self.closed(reason)
            inner.forgotten = lambda: self.forgotten()

    async def connect(self) -> None:
        """See `Transport.connect`."""
        await self._http.connect()

    def open(self, request_id: int, body: bytes, headers: Mapping[str, str], sink: Sink) -> None:
        """See `Transport.open`."""
        if not self._is_decided and _is_initialize(body):
            sink = _Deciding(sink, self._decide, partial(self._fall_back, request_id, body, headers, sink))
        self._current.open(request_id, body, headers, sink)

    def drop(self, request_id: int) -> None:
        """See `Transport.drop`."""
        if self._falling is not None and self._falling[0] == request_id:
            self._falling[2].cancel()
            self._falling = None
        self._current.drop(request_id)

    def established(self, revision: str) -> None:
        """See `Transport.established`."""
        self._current.established(revision)

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """See `Transport.send`."""
        self._current.send(body, headers)

    async def close(self) -> None:
        """See `Transport.close`."""
        self._is_decided = True
        falling, self._falling = self._falling, None
        if falling is not None:
            _, sink, task = falling
            task.cancel()
            sink.failed(CLOSED.kind, CLOSED.detail)
        await asyncio.gather(self._http.close(), self._sse.close())

    def _decide(self) -> None:
        self._is_decided = True

    def _fall_back(
        self, request_id: int, body: bytes, headers: Mapping[str, str], sink: Sink, refusal: Unanswered
    ) -> None:
        if self._is_decided or refusal not in NOT_TAKEN:
            sink.failed(refusal.kind, refusal.detail)
            return
        self._is_decided = True
        task = asyncio.get_running_loop().create_task(self._try_sse(request_id, body, headers, sink, refusal))
        self._falling = request_id, sink, task

    async def _try_sse(
        self, request_id: int, body: bytes, headers: Mapping[str, str], sink: Sink, refusal: Unanswered
    ) -> None:
        try:
            await self._sse.connect()
        except OSError as error:
            self._falling = None
            sink.failed(refusal.kind, f"{refusal.detail}, and has no HTTP+SSE there either: {error}")
            return
        self._falling = None
        log.info("older_transport", backend=self._name, reason=refusal.detail)
        self._current = self._sse
        self.drop_cancels = self._sse.drop_cancels
        self._sse.open(request_id, body, headers, sink)
        await self._http.close()


class _Deciding:
    """The sink of an `initialize`, whose outcome tells which transport the server speaks."""

    def __init__(self, sink: Sink, answered: Callable[[], None], failed: Callable[[Unanswered], None]) -> None:
        self._sink = sink
        self._answered = answered
        self._failed = failed

    def message(self, message: Message) -> None:
        if message.method is None:
            self._answered()
        self._sink.message(message)

    def failed(self, kind: FailureKind, detail: str) -> None:
        self._failed(Unanswered(kind, detail))


def _is_initialize(body: bytes) -> bool:
    try:
        return decode_message(body).method == "initialize"
    except msgspec.DecodeError:
        return False
