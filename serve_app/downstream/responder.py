"""Answers one request: over HTTP as JSON if the outcome is the first thing to say, else as a stream of events."""

from typing import Final, Protocol

from actors.core import sse
from serve_app.http import EVENT_STREAM, JSON, Headers, Send

KEEP_ALIVE_SECONDS: Final = 15.0
"""A silent stream gets a comment this often, so that no proxy on the way takes it for dead."""

RETRY_MILLISECONDS: Final = 1000
"""How long a client shall wait before it fetches a broken stream again."""


class Responder(Protocol):
    """How an answer reaches its client, whatever it came over."""

    streams: bool
    """Whether there is a way to send more than the last message."""

    def announce(self, headers: Headers) -> None:
        """Send these with the answer, whatever it will be; they matter to HTTP only."""

    async def finish(self, status: int, message: bytes, headers: Headers = ()) -> None:
        """Send the last message. `status` and `headers` matter to HTTP only, and only before a stream has begun."""

    async def accept(self) -> None:
        """Take note of a message that has no answer."""

    async def event(self, message: bytes, mark: bytes = b"") -> None:
        """Send a message before the last; `mark` is its event id. Without `streams` it is not sent."""

    async def prime(self, mark: bytes) -> None:
        """Give the client a mark to come back with, before there is anything to say."""

    async def keep_alive(self) -> None:
        """Show that the request lives."""

    async def end(self) -> None:
        """End a stream that has begun without a last message: that goes elsewhere, or there is none."""


class HttpResponder:
    """Answers one POST. The status of a stream is 200, so what needs another must be known before it begins."""

    __slots__ = ("_announced", "_send", "_streaming", "streams")

    def __init__(self, send: Send, *, streams: bool) -> None:
        """`streams` says whether the client accepts a stream of events."""
        self._send = send
        self._streaming = False
        self._announced: Headers = ()
        self.streams = streams

    def announce(self, headers: Headers) -> None:
        """See `Responder.announce`."""
        self._announced = headers

    async def finish(self, status: int, message: bytes, headers: Headers = ()) -> None:
        """See `Responder.finish`."""
        if self._streaming:
            await self._send({"type": "http.response.body", "body": sse.event(message, event="message")})
            return
        length = (b"content-length", b"%d" % len(message))
        start = {"type": "http.response.start", "status": status, "headers": [JSON, length, *self._announced, *headers]}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": message})

    async def accept(self) -> None:
        """See `Responder.accept`."""
        await self.say_nothing(202)

    async def say_nothing(self, status: int) -> None:
        """Answer with a status alone."""
        headers = [] if status == 204 else [(b"content-length", b"0")]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})

    async def event(self, message: bytes, mark: bytes = b"") -> None:
        """See `Responder.event`."""
        if self.streams:
            await self.stream(sse.event(message, event="message", event_id=mark.decode() or None))

    async def prime(self, mark: bytes) -> None:
        """See `Responder.prime`: an event with an id and no data (2025-11-25, basic/transports)."""
        if self.streams:
            await self.stream(b"id: %b\nretry: %d\ndata: \n\n" % (mark, RETRY_MILLISECONDS))

    async def keep_alive(self) -> None:
        """See `Responder.keep_alive`."""
        if self.streams:
            await self.stream(sse.comment())

    async def stream(self, chunk: bytes) -> None:
        """Send bytes of a stream of events, and its head before the first."""
        if not self._streaming:
            self._streaming = True
            await self._send(
                {"type": "http.response.start", "status": 200, "headers": [*EVENT_STREAM, *self._announced]}
            )
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self) -> None:
        """See `Responder.end`."""
        if self._streaming:
            await self._send({"type": "http.response.body", "body": b""})


def accepts_streams(accept: bytes) -> bool:
    """Whether an `Accept` header has room for a stream of events; without one the answer is JSON."""
    accept = accept.lower()
    return b"text/event-stream" in accept or b"*/*" in accept or b"text/*" in accept
