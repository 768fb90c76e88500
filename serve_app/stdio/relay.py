"""Passes on what the gateway says to one request, message by message, and keeps the response."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec
import structlog

from actors.core import jsonrpc, sse
from actors.core.jsonrpc import Message, decode_message
from actors.core.outcome import FailureKind
from actors.transports.http_answer import EVENT_STREAM, JSON, MAX_EVENT_ID, media_type
from actors.transports.http_failure import Unanswered, too_large
from serve_app.stdio.endpoint import SILENCE_SECONDS, Endpoint
from serve_app.stdio.incoming import id_key

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""Of one message of the gateway; its own limits for those of servers are usually lower."""

_FIELD_NAMES: Final = 1024
"""What an event may be larger than its message: its other fields and the names of all."""

_NO_ID: Final = frozenset({b"", b"null", b'"server-error"'})
"""The id of an error about a request which the gateway could not read; the last is what older SDKs write."""

NO_ANSWER: Final = Unanswered(FailureKind.PROTOCOL, "it answered with something else than a response")

Hear = Callable[[bytes, Message], Awaitable[None]]
"""Takes a notification or a request of the server: as it came, and taken apart."""

Say = Callable[[bytes], Awaitable[None]]
"""Writes one message to the client, and returns when there was room for it."""

_batch_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Response:
    """The response to a request."""

    line: bytes
    """The whole message, with the id as the client wrote it."""
    message: Message


class Relay:
    """What became of one request so far: over one HTTP response, or several if its stream is resumed.

    Without `request_id`, raw JSON, no response is expected. `hear` is awaited for every message before the next one
    is read, so whoever is slow to take them slows the gateway down.
    """

    def __init__(
        self, endpoint: Endpoint, request_id: bytes | None, hear: Hear, *, max_message_bytes: int = MAX_MESSAGE_BYTES
    ) -> None:
        self.response: Response | None = None
        self.heard = 0
        """Events so far, so that a stream which goes on can be told from one which only reconnects."""
        self.last_event_id = ""
        """Where a stream would go on; empty if it cannot."""
        self.retry_seconds: float | None = None
        """How long the gateway wants us to wait before we connect again, if it said."""
        self._endpoint = endpoint
        self._request_id = request_id
        self._key = None if request_id is None else id_key(request_id)
        self._hear = hear
        self._strange = False
        self._max_message_bytes = max_message_bytes

    def line(self, trouble: Unanswered | None) -> bytes:
        """What the client gets as the end of its request: the response, or an error that says why there is none."""
        if self.response is not None:
            return self.response.line
        return _failed(self._request_id or b"null", trouble or NO_ANSWER)

    async def read(self, response: aiohttp.ClientResponse) -> Unanswered | None:
        """Read the answer to a POST; afterwards there is a `response`, or the reason why not. Rungs, in order.

        1. A refusal, unless its body is the answer.
        2. A stream of events.
        3. JSON, also where the gateway forgot to say so.
        """
        if response.status >= 300:
            return await self._read_refusal(response)
        kind = media_type(response)
        if kind == EVENT_STREAM:
            return await self.read_events(response)
        if kind not in (JSON, ""):
            return Unanswered(FailureKind.PROTOCOL, f"it answered with {kind[:80]!r}")
        body = await self._body(response)
        if body is None:
            return too_large(self._max_message_bytes)
        await self._take(body)
        return NO_ANSWER if self.response is None else None

    async def read_events(self, response: aiohttp.ClientResponse) -> Unanswered | None:
        """Read events until the response came; something if that did not happen."""
        decoder = sse.SseDecoder(self._max_message_bytes + _FIELD_NAMES)
        try:
            while chunk := await _next_chunk(response):
                for event in decoder.feed(chunk):
                    self.heard += 1
                    if event.data and event.event == sse.MESSAGE:
                        await self._take(event.data)
                    self._note(event.id)
                    if self.response is not None:
                        return None
        except sse.SseError:
            return too_large(self._max_message_bytes)
        finally:
            self._note(decoder.last_event_id)
            if decoder.retry_seconds is not None:
                self.retry_seconds = decoder.retry_seconds
        return Unanswered(FailureKind.DISCONNECTED, "its stream ended before the response")

    def _note(self, event_id: str) -> None:
        if 0 < len(event_id) <= MAX_EVENT_ID:
            self.last_event_id = event_id

    async def _read_refusal(self, response: aiohttp.ClientResponse) -> Unanswered | None:
        refused = self._endpoint.refused(response)
        if response.status < 400 or response.status == 401 or media_type(response) not in (JSON, ""):
            return refused
        for _, message in _decode(await self._body(response) or b""):
            known = bytes(message.id) in _NO_ID or self._is_ours(message)
            if known and message.error and message.method is None and self._request_id is not None:
                line = jsonrpc.error_response(self._request_id, bytes(message.error))
                self.response = Response(line, message)
                return None
        return refused

    async def _body(self, response: aiohttp.ClientResponse) -> bytes | None:
        """The whole body, or nothing as soon as it is over the limit, whether it was announced or unpacked so large."""
        if (response.content_length or 0) > self._max_message_bytes:
            return None
        chunks, size = [], 0
        while chunk := await _next_chunk(response):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._max_message_bytes:
                return None
        return b"".join(chunks)

    async def _take(self, data: bytes) -> None:
        for line, message in _decode(data) or [(b"", Message())]:
            if message.jsonrpc == "2.0" and message.method is not None:
                await self._hear(line, message)
            elif message.jsonrpc == "2.0" and self._is_ours(message) and (message.result or message.error):
                self.response = Response(self._with_our_id(line, message), message)
            else:
                self._note_strange()

    def _note_strange(self) -> None:
        if not self._strange:  # once: a gateway may send many
            self._strange = True
            log.warning("unexpected_message")

    def _is_ours(self, message: Message) -> bool:
        """Whether the id is that of the request, however it is written."""
        if self._request_id is None or not message.id:
            return False
        if bytes(message.id) == self._request_id:
            return True
        key = id_key(bytes(message.id))
        return key is not None and key == self._key

    def _with_our_id(self, line: bytes, message: Message) -> bytes:
        request_id = self._request_id or b""
        if bytes(message.id) == request_id:
            return line
        if message.error:
            return jsonrpc.error_response(request_id, bytes(message.error))
        return jsonrpc.result_response(request_id, bytes(message.result))


def _failed(request_id: bytes, trouble: Unanswered) -> bytes:
    message = f"no answer from the gateway: {trouble.detail}"
    if trouble.kind is FailureKind.DISCONNECTED:
        message += "; the call may have run"
    error = jsonrpc.error(jsonrpc.INTERNAL_ERROR, message, {"reason": trouble.kind.value})
    return jsonrpc.error_response(request_id, error)


async def _next_chunk(response: aiohttp.ClientResponse) -> bytes:
    async with asyncio.timeout(SILENCE_SECONDS):
        return await response.content.readany()


def _decode(data: bytes) -> list[tuple[bytes, Message]]:
    """The messages of a body or an event, one or an array of them (2025-03-26, basic, Batching); none if it is none."""
    try:
        parts = [bytes(part) for part in _batch_decoder.decode(data)] if data.lstrip()[:1] == b"[" else [data]
        return [(part, decode_message(part)) for part in parts]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
