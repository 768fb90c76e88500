"""MCP over streamable HTTP: every request is a POST, and its messages come back in the answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import aiohttp
import structlog

from actors.core.endpoints import HttpEndpoint
from actors.core.jsonrpc import Message
from actors.core.outcome import FailureKind
from actors.core.revisions import HANDSHAKE_REVISIONS
from actors.transports.authorization import AuthorizedPool, Credential
from actors.transports.http_answer import AnswerReader
from actors.transports.http_failure import CLOSED, LOST, NOT_CONNECTED, SESSION_LOST, Unanswered, of_error
from actors.transports.http_lanes import CLOSE_SECONDS, HttpLanes
from actors.transports.http_notices import HttpNotices
from actors.transports.http_pool import KEEP_ALIVE_SECONDS, HttpPool
from actors.transports.http_session import HttpSession
from actors.transports.http_stream import EventStream
from actors.transports.transport import Sink

SEND_SECONDS: Final = 30.0
"""How long a notification or an answer may take: nobody waits for it, so nobody else would end it."""
MAX_RESUMES: Final = 5
"""Attempts in a row to go on with a broken answer that bring nothing."""
DRAIN_SECONDS: Final = 1.0
"""How long a stream may stay open after its response, before its connection is given up for further use."""
DRAIN_READS: Final = 8
"""How much of such a stream is read for it, in pieces of up to a few hundred KiB."""
DELETE_SECONDS: Final = 1.0

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Request:
    request_id: int
    sink: Sink | None
    """Nothing once it must hear no more."""
    task: asyncio.Task[None] = field(init=False)


class StreamableHttpTransport:
    """One server behind a URL; keeps the contract of `Transport`.

    `closed` is never called: between requests there is no connection that could be lost. `max_open` limits the
    requests that are open, those that wait for one of `pool_size` connections included. `credential` gives every
    request its token. `sleep` takes seconds, `dice` gives a number from 0 up to 1.
    """

    drop_cancels = True

    def __init__(
        self,
        endpoint: HttpEndpoint,
        *,
        name: str,
        max_message_bytes: int,
        connect_seconds: float = 10.0,
        pool_size: int = 100,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        max_open: int = 1024,
        credential: Credential | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.unsolicited: Callable[[Message], None] = _ignore
        self.closed: Callable[[str], None] = _ignore
        self.forgotten: Callable[[], None] = _do_nothing
        self._name = name
        self._max_message_bytes = max_message_bytes
        self._max_open = max_open
        self._sleep = sleep
        self._dice = dice
        limits = {"connect_seconds": connect_seconds, "keep_alive_seconds": keep_alive_seconds}

        def pool(size: int) -> HttpPool:
            if credential is None:
                return HttpPool(endpoint.url, size=size, **limits)
            return AuthorizedPool(endpoint.url, credential=credential, size=size, **limits)

        self._lanes = HttpLanes(pool, pool_size)
        self._calls, self._side = self._lanes.calls, self._lanes.side
        self._session = HttpSession(endpoint.headers)
        self._notices = HttpNotices(name)
        self._connected = False
        self._closing = asyncio.Lock()
        self._open: dict[int, _Request] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """See `Transport`. Nothing is sent: whether the server is there, the first request finds out."""
        self._lanes.start()
        self._connected = True

    def open(self, request_id: int, body: bytes, headers: Mapping[str, str], sink: Sink) -> None:
        """See `Transport`."""
        if not self._connected:
            sink.failed(NOT_CONNECTED.kind, NOT_CONNECTED.detail)
        elif len(self._open) >= self._max_open:
            sink.failed(FailureKind.BUSY, "too many requests are open")
        else:
            request = self._open[request_id] = _Request(request_id, sink)
            request.task = self._spawn(self._run(request, body, headers))

    def drop(self, request_id: int) -> None:
        """See `Transport`."""
        request = self._open.pop(request_id, None)
        if request is not None:
            request.sink = None
            request.task.cancel()

    def established(self, revision: str) -> None:
        """See `Transport`. The next thing sent ends the handshake, and requests opened after it arrive after it.

        A server without a stream for unsolicited messages is left alone; a stream that breaks is fetched again.
        """
        self._session.establish(revision)
        self._notices.greet_next()
        if self._listener is not None:
            self._listener.cancel()
        if self._connected:
            self._listener = self._spawn(self._listen())

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """See `Transport`. Several may overtake each other."""
        if self._connected:
            self._notices.begin(lambda: self._spawn(self._send(body, headers)))
        else:
            self._notices.refuse()

    async def close(self) -> None:
        """See `Transport`. Open requests fail, and the server is told that the session is over."""
        was_connected, self._connected = self._connected, False
        for request in list(self._open.values()):
            self._fail(request, CLOSED)
        async with self._closing:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            if was_connected:
                await self._delete_session()
            await self._lanes.close()

    async def _run(self, request: _Request, body: bytes, headers: Mapping[str, str]) -> None:
        reader = self._reader(b"%d" % request.request_id, partial(self._deliver, request))
        trouble: Unanswered | None = CLOSED
        try:
            if self._notices.greeting is not None:
                await self._notices.greeted()
            await asyncio.sleep(0)  # a close that has arrived is seen before its connection is taken from the pool
            trouble = await self._post(reader, body, headers)
            if trouble is not None and self._resumable(reader, trouble):
                trouble = await self._resume(reader, trouble)
        finally:
            if trouble is not None:
                self._fail(request, trouble)

    async def _post(self, reader: AnswerReader, body: bytes, headers: Mapping[str, str]) -> Unanswered | None:
        """Post and read; the reason why there is no response, if there is none."""
        trouble: Unanswered | None
        marked, session_id = self._session.post_headers(body, headers)
        try:
            async with self._calls.request("POST", marked, body) as response:
                if session_id is None:
                    self._session.note(response)
                elif response.status == 404:
                    self._lose(session_id)
                    return SESSION_LOST
                trouble = await reader.read(response)
                if reader.answered:
                    await _drain(response)
        except LOST as error:
            trouble = of_error(error, self._calls.url)
        return None if reader.answered else trouble

    def _resumable(self, reader: AnswerReader, trouble: Unanswered) -> bool:
        lost = trouble.kind is FailureKind.DISCONNECTED
        return lost and bool(reader.last_event_id) and self._session.revision in HANDSHAKE_REVISIONS

    async def _resume(self, reader: AnswerReader, trouble: Unanswered) -> Unanswered | None:
        stream = self._stream(self._calls)
        await stream.pause(reader)
        end = await stream.follow(reader, max_failures=MAX_RESUMES)
        if end is None:
            return None
        # The request may have run, whatever became of the stream that was to bring its response.
        return end.reason if end.reason.kind is FailureKind.TOO_LARGE else trouble

    async def _listen(self) -> None:
        await self._notices.greeted()
        session_id = self._session.id
        stream = self._stream(self._side)
        end = await stream.follow(self._reader(None, self._pass_on), max_failures=None)
        if end is None:
            return
        log.info("stream_ended", backend=self._name, reason=end.reason.detail)
        # Of a server that never gave a stream, 404 only says that it has none.
        if end.status == 404 and stream.accepted and session_id is not None:
            self._lose(session_id)

    async def _send(self, body: bytes, headers: Mapping[str, str]) -> None:
        marked, session_id = self._session.post_headers(body, headers)
        try:
            async with asyncio.timeout(SEND_SECONDS), self._side.request("POST", marked, body) as response:
                if response.status == 404 and session_id is not None:
                    self._lose(session_id)
                if response.status >= 300:
                    log.warning("send_refused", backend=self._name, status=response.status)
        except LOST as error:
            log.warning("send_failed", backend=self._name, reason=of_error(error, self._side.url).detail)

    async def _delete_session(self) -> None:
        headers = self._session.end_headers()
        if headers is None:
            return
        with suppress(*LOST):  # the server need not agree
            async with asyncio.timeout(DELETE_SECONDS), self._side.request("DELETE", headers):
                pass

    def _lose(self, session_id: str) -> None:
        if self._session.lose(session_id):
            self.forgotten()

    def _deliver(self, request: _Request, message: Message) -> None:
        sink = request.sink
        if sink is None:
            return
        if message.method is None:
            self._settle(request)
        sink.message(message)

    def _fail(self, request: _Request, trouble: Unanswered) -> None:
        sink = request.sink
        if sink is not None:
            self._settle(request)
            sink.failed(trouble.kind, trouble.detail)

    def _settle(self, request: _Request) -> None:
        request.sink = None
        self._open.pop(request.request_id, None)

    def _pass_on(self, message: Message) -> None:
        self.unsolicited(message)  # looked up for each message: it may be set after the stream was opened

    def _reader(self, request_id: bytes | None, deliver: Callable[[Message], None]) -> AnswerReader:
        return AnswerReader(request_id, deliver, name=self._name, max_message_bytes=self._max_message_bytes)

    def _stream(self, pool: HttpPool) -> EventStream:
        return EventStream(pool, self._session.stream_headers, sleep=self._sleep, dice=self._dice)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Give a stream that has delivered its response a chance to end by itself, so that its connection stays useful."""
    content = response.content
    if content.at_eof():
        return
    async with asyncio.timeout(DRAIN_SECONDS):
        for _ in range(DRAIN_READS):
            if not await content.readany():
                return


def _ignore(_: object) -> None:
    return


def _do_nothing() -> None:
    return
