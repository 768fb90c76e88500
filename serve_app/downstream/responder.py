"""Answers one POST: as JSON if the outcome is the first thing to say, else as a stream of events."""

from typing import Final

from actors.core import sse
from serve_app.http import EVENT_STREAM, JSON, Headers, Send

KEEP_ALIVE_SECONDS: Final = 15.0
"""A silent stream gets a comment this often, so that no proxy on the way takes it for dead."""


class Responder:
    """Writes one response. The status of a stream is 200, so what needs another must be known before it begins."""

    __slots__ = ("_send", "_streaming", "status", "streams")

    def __init__(self, send: Send, *, streams: bool) -> None:
        """`streams` says whether the client accepts a stream of events."""
        self._send = send
        self._streaming = False
        self.streams = streams
        self.status = 0
        """The HTTP status, once it is on its way."""

    async def finish(self, status: int, message: bytes, headers: Headers = ()) -> None:
        """Send the last message: as the whole response, or as the last event of the stream."""
        if self._streaming:
            await self._send({"type": "http.response.body", "body": sse.event(message, event="message")})
            return
        self.status = status
        length = (b"content-length", b"%d" % len(message))
        start = {"type": "http.response.start", "status": status, "headers": [JSON, length, *headers]}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": message})

    async def accept(self) -> None:
        """Take note of a message that has no answer."""
        self.status = 202
        await self._send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await self._send({"type": "http.response.body", "body": b""})

    async def event(self, message: bytes) -> None:
        """Send a message before the last; a client that takes no streams does not get it."""
        if self.streams:
            await self._stream(sse.event(message, event="message"))

    async def keep_alive(self) -> None:
        """Show that the stream lives."""
        if self.streams:
            await self._stream(sse.comment())

    async def _stream(self, chunk: bytes) -> None:
        if not self._streaming:
            self._streaming = True
            self.status = 200
            await self._send({"type": "http.response.start", "status": 200, "headers": list(EVENT_STREAM)})
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})


def accepts_streams(accept: bytes) -> bool:
    """Whether an `Accept` header has room for a stream of events; without one the answer is JSON."""
    accept = accept.lower()
    return b"text/event-stream" in accept or b"*/*" in accept or b"text/*" in accept
