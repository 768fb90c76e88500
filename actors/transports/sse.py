"""MCP over HTTP+SSE: messages go out as POSTs, and everything of the server comes on one stream.

Source: 2024-11-05, basic/transports, HTTP with SSE. Later revisions deprecate it, and many servers still speak it.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

import aiohttp
import structlog
from multidict import CIMultiDict
from yarl import URL

from actors.core import sse
from actors.core.endpoints import SseEndpoint
from actors.core.jsonrpc import Message
from actors.core.outcome import FailureKind
from actors.transports.http_answer import EVENT_STREAM, media_type
from actors.transports.http_failure import (
    CLOSED,
    LOST,
    NOT_CONNECTED,
    Unanswered,
    of_error,
    of_redirect,
    of_status,
    too_large,
)
from actors.transports.http_pool import HttpPool
from actors.transports.http_session import REVISION_HEADER
from actors.transports.incoming import Incoming
from actors.transports.pending import Pending
from actors.transports.sse_address import AddressError, post_url
from actors.transports.sse_posts import SsePosts
from actors.transports.transport import Sink

ENDPOINT_EVENT: Final = "endpoint"
MAX_UNSENT_BYTES: Final = 8 * 1024 * 1024
"""Beyond it the server does not take what we send, and new requests are refused."""
NAMED_FROM: Final = "2025-06-18"
"""The first revision that names itself in the headers of what follows the handshake."""
EVENT_BYTES: Final = 1024
"""What an event may be larger than its message: its other fields and the names of all."""
CLOSE_SECONDS: Final = 2.0

log = structlog.get_logger()


class SseTransport:
    """One server behind the URL of its stream, connected to once; keeps the contract of `Transport`.

    A stream that ends is a lost connection: the server forgets the conversation with it.

    Args:
        endpoint: the URL of the stream, and the headers of every request.
        name: of the backend, for the log.
        max_message_bytes: the largest message accepted; a larger one ends the stream, and every open request with it.
        connect_seconds: how long making one connection may take.
        endpoint_seconds: how long the server may take to name the URL for messages.
        send_seconds: how long a POST may take that nobody waits for: a notification, or a request already answered.
        pool_size: POSTs of requests at once.
        max_open: requests open at once.
        max_unsent_bytes: of messages that the server has not accepted.
    """

    def __init__(
        self,
        endpoint: SseEndpoint,
        *,
        name: str,
        max_message_bytes: int,
        connect_seconds: float = 10.0,
        endpoint_seconds: float = 10.0,
        send_seconds: float = 30.0,
        pool_size: int = 100,
        max_open: int = 1024,
        max_unsent_bytes: int = MAX_UNSENT_BYTES,
    ) -> None:
        self.unsolicited: Callable[[Message], None] = lambda message: None
        self.closed: Callable[[str], None] = lambda reason: None
        self.forgotten: Callable[[], None] = lambda: None
        self.drop_cancels = False
        self._headers = CIMultiDict(endpoint.headers)
        self._name = name
        self._max_message_bytes = max_message_bytes
        self._connect_seconds = connect_seconds
        self._endpoint_seconds = endpoint_seconds
        self._send_seconds = send_seconds
        self._pool_size = pool_size
        self._max_unsent_bytes = max_unsent_bytes
        self._stream = HttpPool(endpoint.url, size=1, connect_seconds=connect_seconds, keep_alive_seconds=1.0)
        self._pending = Pending(name, max_open=max_open)
        self._incoming = Incoming(name, self._pending)
        self._posts: SsePosts | None = None
        self._refusal: Unanswered | None = NOT_CONNECTED
        self._named: asyncio.Future[URL] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Open the stream, and wait until the server names the URL for messages.

        Raises:
            OSError: it cannot be reached, gives no stream, or names no URL that messages may go to.
        """
        if self._named is not None or self._stopping is not None:
            raise OSError("a transport connects only once")
        loop = asyncio.get_running_loop()
        self._named = loop.create_future()
        self._stream.start()
        self._reading = loop.create_task(self._read())
        try:
            async with asyncio.timeout(self._endpoint_seconds):
                url = await self._named
        except TimeoutError:
            detail = f"it named no endpoint for messages within {self._endpoint_seconds:g} s"
            raise ConnectionAbortedError(detail) from None
        self._posts = SsePosts(
            url,
            name=self._name,
            headers=self._headers,
            failed=lambda request_id, trouble: self._pending.fail(request_id, trouble.kind, trouble.detail),
            lost=self._lose,
            deliver=lambda message: self._pending.dispatch(message, self.unsolicited),
            max_message_bytes=self._max_message_bytes,
            connect_seconds=self._connect_seconds,
            pool_size=self._pool_size,
            send_seconds=self._send_seconds,
        )
        if self._reading.done():  # it ended in the tick that named the URL
            raise ConnectionResetError("its stream ended at once")
        self._refusal = None

    def open(self, request_id: int, body: bytes, headers: Mapping[str, str], sink: Sink) -> None:
        """See `Transport.open`."""
        posts = self._posts
        if posts is None or self._refusal is not None:
            sink.failed(FailureKind.UNAVAILABLE, (self._refusal or NOT_CONNECTED).detail)
        elif posts.unsent_bytes > self._max_unsent_bytes:
            sink.failed(FailureKind.BUSY, "the server does not take what is sent")
        elif not self._pending.add(request_id, _Followed(sink, partial(posts.let_go, request_id))):
            sink.failed(FailureKind.BUSY, "too many requests are open")
        else:
            posts.request(request_id, body, headers)

    def drop(self, request_id: int) -> None:
        """See `Transport.drop`."""
        self._pending.drop(request_id)
        if self._posts is not None:
            self._posts.let_go(request_id)

    def established(self, revision: str) -> None:
        """See `Transport.established`. The stream is there already; the next thing sent ends the handshake."""
        if self._posts is not None:
            if revision >= NAMED_FROM:
                self._posts.headers[REVISION_HEADER] = revision
            self._posts.greet_next()

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """See `Transport.send`."""
        posts = self._posts
        if posts is None or self._refusal is not None or posts.unsent_bytes > self._max_unsent_bytes:
            log.warning("send_dropped", backend=self._name)
        else:
            posts.send(body, headers)

    async def close(self) -> None:
        """See `Transport.close`; a cancelled close goes on by itself."""
        self._refusal = Unanswered(FailureKind.UNAVAILABLE, "it is closed")
        self._pending.fail_all(CLOSED.kind, CLOSED.detail)
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        if self._named is not None and not self._named.done():
            self._named.set_exception(ConnectionAbortedError("it is closed"))
            self._named.exception()  # whoever waits for it may be gone
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading], timeout=CLOSE_SECONDS)
        if self._posts is not None:
            await self._posts.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._stream.close()

    async def _read(self) -> None:
        headers = self._headers.copy()
        headers["Accept"] = EVENT_STREAM
        headers["Cache-Control"] = "no-store"
        try:
            async with self._stream.request("GET", headers) as response:
                end = await self._read_response(response)
        except LOST as error:
            end = of_error(error, self._stream.url)
        self._lose(end)

    async def _read_response(self, response: aiohttp.ClientResponse) -> Unanswered:
        """Read to the end of the stream, or nothing of what is none; gives why there is no more."""
        if response.status >= 400:
            return of_status(response.status)
        if response.status >= 300:
            return of_redirect(response.url, response.headers.get("Location", ""))
        if media_type(response) != EVENT_STREAM:
            return Unanswered(FailureKind.PROTOCOL, "it answered with no stream of events")
        decoder = sse.SseDecoder(self._max_message_bytes + EVENT_BYTES)
        try:
            while chunk := await response.content.readany():
                for event in decoder.feed(chunk):
                    self._take(event)
        except sse.SseError:
            return too_large(self._max_message_bytes)
        except AddressError as error:
            return Unanswered(FailureKind.PROTOCOL, str(error))
        return Unanswered(FailureKind.DISCONNECTED, "its stream ended")

    def _take(self, event: sse.SseEvent) -> None:
        if event.event == sse.MESSAGE and event.data:
            self._incoming.take(event.data, self.unsolicited)
        elif event.event == ENDPOINT_EVENT and self._named is not None and not self._named.done():
            self._named.set_result(post_url(self._stream.url, event.data))

    def _lose(self, end: Unanswered) -> None:
        """The conversation is over: what was never sent may be sent elsewhere, the rest may have run."""
        if self._named is not None and not self._named.done():
            self._named.set_exception(ConnectionRefusedError(end.detail))
            self._named.exception()  # whoever waits for it may be gone
        if self._refusal is not None or self._posts is None:
            return
        self._refusal = end
        for request_id in self._posts.unsent():
            self._pending.fail(request_id, FailureKind.UNAVAILABLE, end.detail)
        kind = end.kind if end.kind is FailureKind.TOO_LARGE else FailureKind.DISCONNECTED
        self._pending.fail_all(kind, end.detail)
        self._posts.stop()
        self.closed(end.detail)


class _Followed:
    """A sink which also tells that its request has ended."""

    def __init__(self, sink: Sink, ended: Callable[[], None]) -> None:
        self._sink = sink
        self._ended = ended

    def message(self, message: Message) -> None:
        if message.method is None:
            self._ended()
        self._sink.message(message)

    def failed(self, kind: FailureKind, detail: str) -> None:
        self._ended()
        self._sink.failed(kind, detail)
