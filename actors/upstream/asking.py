"""Requests of our own to a server: discovery, handshake, lists, subscriptions."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.jsonrpc import ErrorObject, Message
from actors.core.outcome import FailureKind
from actors.transports.transport import Transport

NO_HEADERS: Mapping[str, str] = {}

_ANSWERED: Final = frozenset(
    {None, FailureKind.PROTOCOL, FailureKind.TOO_LARGE, FailureKind.UNAUTHORIZED, FailureKind.CONSENT}
)


class UpstreamError(Exception):
    """The server refused a request of ours, or did not answer it."""

    def __init__(self, detail: str, *, error: ErrorObject | None = None, kind: FailureKind | None = None) -> None:
        super().__init__(detail)
        self.error = error
        """The JSON-RPC error, if that was the answer."""
        self.kind = kind
        """Why there was no answer, if there was none."""

    @property
    def answered(self) -> bool:
        """Whether the server is there and said something, if not what it was asked for."""
        return self.kind in _ANSWERED


class Asking:
    """Numbers requests on one transport and waits for the answers to our own."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._ids = count(1)

    def next_id(self) -> int:
        """A request id not used before on this transport."""
        return next(self._ids)

    async def ask(self, method: str, params: bytes, *, limit: float, headers: Mapping[str, str] = NO_HEADERS) -> bytes:
        """Send a request and give its result, raw JSON.

        Raises:
            UpstreamError: an error came back, or nothing within `limit` seconds.
        """
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        request_id = self._open(method, params, headers, answer)
        try:
            async with asyncio.timeout(limit):
                return await answer
        except TimeoutError:
            raise _silence(method, limit) from None
        finally:
            self.transport.drop(request_id)

    def tell(self, method: str, params: bytes, *, limit: float, done: Callable[[UpstreamError | None], None]) -> None:
        """Send a request now, before anything that is sent after it, and wait for no result.

        `done` is called once, never before this returns: with nothing, or with why it was not done in `limit` seconds.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        request_id = self._open(method, params, NO_HEADERS, answer)

        def expired() -> None:
            if not answer.done():
                answer.set_exception(_silence(method, limit))

        timer = loop.call_later(limit, expired)

        def settled(answer: asyncio.Future[bytes]) -> None:
            timer.cancel()
            self.transport.drop(request_id)
            error = answer.exception()
            done(error if isinstance(error, UpstreamError) else None)

        answer.add_done_callback(settled)

    def _open(self, method: str, params: bytes, headers: Mapping[str, str], answer: asyncio.Future[bytes]) -> int:
        request_id = self.next_id()
        sink = _AnswerSink(answer, self.transport)
        self.transport.open(request_id, jsonrpc.request(request_id, method, params), headers, sink)
        return request_id


class _AnswerSink:
    """Puts the response to one request into a future; what else comes with it belongs to no call."""

    def __init__(self, answer: asyncio.Future[bytes], transport: Transport) -> None:
        self._answer = answer
        self._transport = transport

    def message(self, message: Message) -> None:
        if message.method is not None and message.id and message.method != "ping":
            error = jsonrpc.error(jsonrpc.METHOD_NOT_FOUND, "no client is there to be asked during this request")
            self._transport.send(jsonrpc.error_response(bytes(message.id), error), NO_HEADERS)
        elif message.method is not None:
            self._transport.unsolicited(message)
        elif self._answer.done():
            return
        elif message.error:
            self._answer.set_exception(_refusal(message.error))
        else:
            self._answer.set_result(bytes(message.result))

    def failed(self, kind: FailureKind, detail: str) -> None:
        if not self._answer.done():
            self._answer.set_exception(UpstreamError(detail or kind.value, kind=kind))


def _silence(method: str, limit: float) -> UpstreamError:
    return UpstreamError(f"no answer to {method} within {limit:g} s", kind=FailureKind.TIMEOUT)


def _refusal(raw: bytes) -> UpstreamError:
    try:
        error = jsonrpc.decode_error(raw)
    except msgspec.DecodeError:
        return UpstreamError("its error is not of that form", kind=FailureKind.PROTOCOL)
    return UpstreamError(f"{error.message[:500]} ({error.code})", error=error)
