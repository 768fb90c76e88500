"""MCP over a WebSocket: one JSON-RPC message a text frame, with the lifecycle of the handshake era.

No revision has it among its transports; clients and servers that do agree on the subprotocol `mcp`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import aiohttp
import structlog
from yarl import URL

from actors.core.endpoints import WebSocketEndpoint
from actors.core.jsonrpc import Message
from actors.core.outcome import FailureKind
from actors.transports.http_failure import CLOSED, LOST, Unanswered, of_error, of_redirect, of_status, too_large
from actors.transports.incoming import Incoming
from actors.transports.pending import Pending
from actors.transports.transport import Sink

SUBPROTOCOL: Final = "mcp"
MAX_UNSENT_BYTES: Final = 8 * 1024 * 1024
"""Beyond it the server does not read, and new requests are refused: its slowness must not become our memory."""
CLOSE_SECONDS: Final = 2.0

_Socket = aiohttp.ClientWebSocketResponse[bool]

log = structlog.get_logger()


class WebSocketTransport:
    """One server behind a URL, connected to once; see `Transport` for the contract.

    Args:
        endpoint: the URL, and the headers of the request that opens the WebSocket.
        name: of the backend, for the log.
        max_message_bytes: the largest message accepted; a larger one ends the connection, and every open request.
        connect_seconds: how long opening may take.
        heartbeat_seconds: how long the server may be silent before it gets a ping; it has half as long to answer.
        max_unsent_bytes: of messages that wait to be written.
    """

    def __init__(
        self,
        endpoint: WebSocketEndpoint,
        *,
        name: str,
        max_message_bytes: int,
        connect_seconds: float = 10.0,
        heartbeat_seconds: float = 30.0,
        max_unsent_bytes: int = MAX_UNSENT_BYTES,
    ) -> None:
        self.unsolicited: Callable[[Message], None] = lambda message: None
        self.closed: Callable[[str], None] = lambda reason: None
        self.forgotten: Callable[[], None] = lambda: None
        self.drop_cancels = False
        self._url = URL(endpoint.url)
        self._headers = dict(endpoint.headers)
        self._name = name
        self._max_message_bytes = max_message_bytes
        self._connect_seconds = connect_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._max_unsent_bytes = max_unsent_bytes
        self._pending = Pending(name)
        self._incoming = Incoming(name, self._pending)
        self._refusal: str | None = "it is not connected"
        self._used = False
        self._outgoing: deque[tuple[int | None, bytes]] = deque()
        self._outgoing_bytes = 0
        self._unsent: set[int] = set()
        """Requests among `outgoing` that somebody still waits for."""
        self._written = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._socket: _Socket | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Open the WebSocket.

        Raises:
            OSError: it cannot be reached, or speaks no WebSocket there; the message says why and holds no secret.
        """
        if self._used:
            raise OSError("a transport connects only once")
        self._used = True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "only1mcp"},
            middlewares=(_refuse_redirects,),
            trust_env=False,
        )
        try:
            async with asyncio.timeout(self._connect_seconds):
                self._socket = await self._open_socket(self._session)
        except TimeoutError:
            raise ConnectionAbortedError(f"cannot connect to {self._url.origin()} in time") from None
        except LOST as error:
            raise ConnectionRefusedError(_refusal(error, self._url).detail) from None
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._read(self._socket)), loop.create_task(self._write(self._socket))]
        self._refusal = None

    def open(self, request_id: int, body: bytes, headers: Mapping[str, str], sink: Sink) -> None:
        """See `Transport.open`."""
        if self._refusal is not None:
            sink.failed(FailureKind.UNAVAILABLE, self._refusal)
        elif self._is_clogged():
            sink.failed(FailureKind.BUSY, "the server does not read")
        elif not self._pending.add(request_id, sink):
            sink.failed(FailureKind.BUSY, "too many requests are open")
        else:
            self._unsent.add(request_id)
            self._queue(request_id, body)

    def drop(self, request_id: int) -> None:
        """See `Transport.drop`; a request that still waits to be written never is."""
        self._pending.drop(request_id)
        self._unsent.discard(request_id)

    def established(self, revision: str) -> None:
        """See `Transport.established`; there is nothing to do."""

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """See `Transport.send`."""
        if self._refusal is None and not self._is_clogged():
            self._queue(None, body)
        else:
            log.warning("send_dropped", backend=self._name)

    async def close(self) -> None:
        """See `Transport.close`; a cancelled close goes on by itself."""
        self._used = True
        self._refusal = "it is closed"
        self._pending.fail_all(CLOSED.kind, CLOSED.detail)
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _open_socket(self, session: aiohttp.ClientSession) -> _Socket:
        return await session.ws_connect(
            self._url,
            protocols=(SUBPROTOCOL,),
            headers=self._headers,
            heartbeat=self._heartbeat_seconds,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
            max_msg_size=self._max_message_bytes + 1,  # the first size that is refused
            decode_text=False,
        )

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        for end in (self._socket, self._session):
            if end is not None:
                with suppress(TimeoutError, *LOST):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await end.close()

    def _is_clogged(self) -> bool:
        return self._outgoing_bytes > self._max_unsent_bytes

    def _queue(self, request_id: int | None, body: bytes) -> None:
        self._outgoing.append((request_id, body))
        self._outgoing_bytes += len(body)
        self._written.set()

    async def _write(self, socket: _Socket) -> None:
        while True:
            await self._written.wait()
            self._written.clear()
            while self._outgoing:
                request_id, body = self._outgoing.popleft()
                if self._is_wanted(request_id):
                    try:
                        await socket.send_frame(body, aiohttp.WSMsgType.TEXT)
                    except LOST as error:
                        self._lose(of_error(error, self._url))
                        return
                self._outgoing_bytes -= len(body)

    def _is_wanted(self, request_id: int | None) -> bool:
        """Whether a message from the queue is still to be written; from now on it may be seen."""
        if request_id is None:
            return True
        wanted = request_id in self._unsent
        self._unsent.discard(request_id)
        return wanted

    async def _read(self, socket: _Socket) -> None:
        while True:
            try:
                message = await socket.receive()
            except LOST as error:  # when its ping cannot be answered
                self._lose(of_error(error, self._url))
                return
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    self._incoming.take(message.data, self.unsolicited)
                case aiohttp.WSMsgType.BINARY:
                    self._incoming.ignore("not a text frame")
                case _:
                    self._lose(self._end_of(socket, message.data))
                    return

    def _end_of(self, socket: _Socket, cause: object) -> Unanswered:
        """Why there is nothing more to read. What a server says on closing is not repeated: it may hold secrets."""
        if isinstance(cause, aiohttp.WebSocketError):
            if cause.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                return too_large(self._max_message_bytes)
            return Unanswered(FailureKind.DISCONNECTED, "what it sent is not the WebSocket protocol")
        if isinstance(cause, aiohttp.ServerTimeoutError):
            return Unanswered(FailureKind.DISCONNECTED, "it did not answer a ping")
        match socket.close_code:
            case aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                return Unanswered(FailureKind.DISCONNECTED, "a message of ours was too large for it")
            case aiohttp.WSCloseCode.ABNORMAL_CLOSURE | None:
                return Unanswered(FailureKind.DISCONNECTED, f"the connection to {self._url.origin()} was lost")
            case code:
                return Unanswered(FailureKind.DISCONNECTED, f"it closed the connection (code {code:d})")

    def _lose(self, end: Unanswered) -> None:
        """The conversation is over: what was never written may be sent elsewhere, the rest may have run."""
        if self._refusal is not None:
            return
        self._refusal = end.detail
        for request_id in list(self._unsent):
            self._pending.fail(request_id, FailureKind.UNAVAILABLE, end.detail)
        self._pending.fail_all(end.kind, end.detail)
        self._unsent.clear()
        self._outgoing.clear()
        for task in self._tasks:
            task.cancel()
        self.closed(end.detail)


async def _refuse_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Follow no redirect: our headers are for the origin that was configured."""
    response = await handler(request)
    if 300 <= response.status < 400:
        location = response.headers.get("Location", "")
        response.close()
        raise _RedirectError(of_redirect(response.url, location))
    return response


class _RedirectError(aiohttp.ClientError):
    """The server redirects. Arguments: why that ends the attempt."""

    def __init__(self, trouble: Unanswered) -> None:
        super().__init__(trouble)
        self.trouble = trouble


def _refusal(error: Exception, url: URL) -> Unanswered:
    """Why no WebSocket was opened."""
    if isinstance(error, _RedirectError):
        return error.trouble
    if isinstance(error, aiohttp.WSServerHandshakeError):
        if error.status >= 400:
            return of_status(error.status)
        return Unanswered(FailureKind.PROTOCOL, "it speaks no WebSocket there")
    return of_error(error, url)
