"""The messages in the answer to one HTTP request: one JSON body, or events of a stream."""

from collections.abc import Callable, Iterator
from typing import Final

import aiohttp
import msgspec
import structlog

from actors.core import sse
from actors.core.jsonrpc import Message, decode_list, decode_message
from actors.core.outcome import FailureKind
from actors.transports.http_failure import CREDENTIALS_REFUSED, Unanswered, of_redirect, of_status, too_large

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"

MAX_EVENT_ID: Final = 1024
"""A longer event id is not kept: it would have to fit into a header."""

_NO_ID: Final = frozenset({b"", b"null", b'"server-error"'})
"""The id of an error about a request the server could not read; the last is what older SDKs write."""

_FIELD_NAMES: Final = 1024
"""What an event may be larger than its message: its other fields and the names of all."""

log = structlog.get_logger()


def media_type(response: aiohttp.ClientResponse) -> str:
    """The type of the body in lower case, without parameters; empty if the server did not say."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


class AnswerReader:
    """Takes what belongs to one request out of the responses that carry it: one, or several if a stream is resumed.

    `deliver` gets notifications, requests of the server's own and, as the last, the response whose id is
    `request_id`, given as raw JSON. Without an id no response is expected, and none delivered.
    """

    def __init__(
        self, request_id: bytes | None, deliver: Callable[[Message], None], *, name: str, max_message_bytes: int
    ) -> None:
        self.answered = False
        """Whether the response was delivered."""
        self.heard = 0
        """Events so far, so that a stream which goes on can be told from one which only reconnects."""
        self.last_event_id = ""
        """Where a stream would go on; empty if it cannot."""
        self.retry_seconds: float | None = None
        """How long the server wants us to wait before we connect again, if it said."""
        self._request_id = request_id
        self._deliver = deliver
        self._name = name
        self._max_message_bytes = max_message_bytes
        self._strange = False

    async def read(self, response: aiohttp.ClientResponse) -> Unanswered | None:
        """Read one response; afterwards `answered`, or the reason why not. Rungs, in order.

        1. A redirect or a refusal, unless its body is the answer.
        2. A stream of events.
        3. JSON, also where the server forgot to say so.
        """
        if response.status >= 300:
            return await self._read_refusal(response)
        kind = media_type(response)
        if kind == EVENT_STREAM:
            trouble = await self.read_events(response)
        elif kind in (JSON, ""):
            trouble = await self._read_json(response)
        else:
            return Unanswered(FailureKind.PROTOCOL, f"it answered with {kind[:80]!r}")
        if self.answered or trouble is not None:
            return trouble
        if self._strange:
            return Unanswered(FailureKind.PROTOCOL, "its answer belongs to no request of ours, or is not JSON-RPC")
        if kind == EVENT_STREAM:
            return Unanswered(FailureKind.DISCONNECTED, "its stream ended before the response")
        return Unanswered(FailureKind.PROTOCOL, f"it answered HTTP {response.status} without a response")

    async def read_events(self, response: aiohttp.ClientResponse) -> Unanswered | None:
        """Read events until the response came or the stream ended; something only if it cannot be read on."""
        decoder = sse.SseDecoder(self._max_message_bytes + _FIELD_NAMES)
        try:
            while chunk := await response.content.readany():
                for event in decoder.feed(chunk):
                    self.heard += 1
                    trouble = self._take(event.data) if event.data and event.event == sse.MESSAGE else None
                    if self.answered or trouble is not None:
                        return trouble
        except sse.SseError:
            return too_large(self._max_message_bytes)
        finally:
            if 0 < len(decoder.last_event_id) <= MAX_EVENT_ID:
                self.last_event_id = decoder.last_event_id
            if decoder.retry_seconds is not None:
                self.retry_seconds = decoder.retry_seconds
        return None

    async def _read_json(self, response: aiohttp.ClientResponse) -> Unanswered | None:
        body = await self._body(response)
        if body is None:
            return too_large(self._max_message_bytes)
        return self._take(body) if body else None

    async def _read_refusal(self, response: aiohttp.ClientResponse) -> Unanswered | None:
        if response.status < 400:
            return of_redirect(response.url, response.headers.get("Location", ""))
        if media_type(response) in (JSON, "") and response.status not in CREDENTIALS_REFUSED:
            for message in _decode(await self._body(response) or b""):
                if message is not None and self._is_refusal(message):
                    message.id = msgspec.Raw(self._request_id or b"null")
                    self.answered = True
                    self._deliver(message)
                    return None
        return of_status(response.status)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes | None:
        """The whole body, or nothing as soon as it is over the limit, whether it was announced or unpacked so large."""
        if (response.content_length or 0) > self._max_message_bytes:
            return None
        content = response.content
        chunk = await content.readany()
        if content.at_eof():
            return chunk if len(chunk) <= self._max_message_bytes else None
        chunks, size = [], 0
        while chunk:
            chunks.append(chunk)
            size += len(chunk)
            if size > self._max_message_bytes:
                return None
            chunk = await content.readany()
        return b"".join(chunks)

    def _take(self, data: bytes) -> Unanswered | None:
        response = None
        for message in _decode(data):
            if message is not None and message.method is not None:
                self._deliver(message)
            elif message is not None and self._request_id == bytes(message.id):
                response = message
            else:
                self._note_strange()
        if response is None:
            return None
        if not (response.result or response.error):
            return Unanswered(FailureKind.PROTOCOL, "the response has neither a result nor an error")
        self.answered = True
        self._deliver(response)
        return None

    def _is_refusal(self, message: Message) -> bool:
        known = bytes(message.id) == self._request_id or bytes(message.id) in _NO_ID
        return known and message.method is None and bool(message.error)

    def _note_strange(self) -> None:
        if not self._strange:  # once: a server may send many
            self._strange = True
            log.warning("unexpected_message", backend=self._name)


def _decode(data: bytes) -> Iterator[Message | None]:
    """The messages of a body, one or an array of them (2025-03-26, basic, Batching); nothing for what is none."""
    try:
        yield decode_message(data)
        return
    except msgspec.DecodeError:
        pass
    try:
        parts = decode_list(data)
    except msgspec.DecodeError:
        yield None
        return
    for part in parts:
        try:
            yield decode_message(part)
        except msgspec.DecodeError:
            yield None
