"""Bodies of server-sent events, and of JSON, as a server may send them in answer to a request."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from multidict import CIMultiDict
from yarl import URL

from actors.core.jsonrpc import Message
from actors.core.sse import SseDecoder, SseError, comment, event
from actors.transports.http_answer import AnswerReader
from tests.fuzz.fuzzing import Found
from tests.fuzz.mutations import Mutator
from tests.fuzz.seeds import NOTIFICATIONS, as_json, responses

LIMIT: Final = 4096
"""Small, so that inputs are on both sides of it."""

ID: Final = b"3"
TYPES: Final = (*["text/event-stream"] * 4, "application/json", "", "text/html", "Text/Event-Stream; charset=utf-8")
STATUSES: Final = (*[200] * 8, 202, 302, 400, 404, 500)

TOLD: Final = [*NOTIFICATIONS, *responses(3)]
MESSAGES: Final = [as_json(message) for message in TOLD]
STREAMS: Final = [
    *(event(message) for message in MESSAGES),
    *(event(message, "message", "id-1") for message in MESSAGES),
    b"\xef\xbb\xbf" + event(MESSAGES[0]) + comment() + event(MESSAGES[-1]),
    b"id: 7\nretry: 100\ndata: \n\n" + event(MESSAGES[-1], event_id="8"),
    b"event: endpoint\rdata: /messages\r\rdata: a\r\ndata: b\r\n\r\n",
    b"".join(event(message) for message in MESSAGES),
]
BODIES: Final = [*STREAMS, *MESSAGES, b"[" + b",".join(MESSAGES) + b"]"]


class _Content:
    """The body of a response, piece by piece."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    async def readany(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def at_eof(self) -> bool:
        return not self._pieces


class _Response:
    """As much of aiohttp's as is read."""

    def __init__(self, status: int, kind: str, pieces: list[bytes]) -> None:
        self.status = status
        self.headers = CIMultiDict({"Content-Type": kind, "Location": "http://elsewhere.example/\x01"})
        self.url = URL("http://127.0.0.1/mcp")
        self.content_length = None
        self.content = _Content(pieces)


class SseBodies:
    """Each body is decoded whole and in pieces, and read as an answer."""

    def __init__(self) -> None:
        self.last = b""

    async def feed(self, mutator: Mutator) -> bool:
        """See `Target.feed`."""
        if mutator.chance(0.4):
            told = mutator.dice.choices(TOLD, k=mutator.dice.choice((1, 1, 2, 5)))
            self.last = body = b"".join(event(mutator.json_of(message)) for message in told)
        else:
            self.last = body = mutator.bytes_of(BODIES)
        if mutator.chance(0.3):
            self.last = body = body.replace(b"\n", mutator.dice.choice((b"\r", b"\r\n")))
        pieces = mutator.pieces(body)
        whole, cut = _decoded([body]), _decoded(pieces)
        if whole != cut:
            raise Found(f"whole {whole!r}, in pieces of {[len(piece) for piece in pieces]} bytes {cut!r}")
        kind = mutator.dice.choice(TYPES)
        delivered = await _answer(_Response(mutator.dice.choice(STATUSES), kind, pieces))
        for message in delivered:
            if message.method is None and bytes(message.id) != ID:
                raise Found(f"an answer to {bytes(message.id)!r} was delivered")
        return bool(delivered)

    async def canary(self) -> None:
        """See `Target.canary`."""
        body = event(MESSAGES[0]) + event(b'{"jsonrpc":"2.0","id":3,"result":{"mine":true}}')
        progress, response = await _answer(_Response(200, TYPES[0], [body[:90], body[90:]]))
        if progress.method is None or json.loads(bytes(response.result)) != {"mine": True}:
            raise Found(f"a good stream was read as {progress} and {response}")


def _decoded(pieces: list[bytes]) -> Any:
    decoder = SseDecoder(LIMIT)
    events = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
    except SseError:
        return "over the limit"
    return events, decoder.last_event_id, decoder.retry_seconds


async def _answer(response: _Response) -> list[Message]:
    """What a reader delivers; it knows itself whether that was the answer."""
    delivered: list[Message] = []
    reader = AnswerReader(ID, delivered.append, name="fuzz", max_message_bytes=LIMIT)
    trouble = await reader.read(response)  # type: ignore[arg-type]
    answers = [message for message in delivered if message.method is None]
    if len(answers) != reader.answered or reader.answered is (trouble is not None):
        raise Found(f"{len(answers)} answers, answered: {reader.answered}, {trouble}")
    return delivered


@asynccontextmanager
async def sse_bodies() -> AsyncIterator[SseBodies]:
    """The target."""
    yield SseBodies()
