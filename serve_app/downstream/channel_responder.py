"""Answers one request on a channel, where everything that is said goes the same way."""

from collections.abc import Awaitable, Callable, Sequence

from actors.core.envelope import Envelope, Incoming, Malformed
from serve_app.http import Headers

Say = Callable[[bytes], Awaitable[None]]
"""Sends one message to the client; raises `ClientGone` if that is impossible."""


class ChannelResponder:
    """See `Responder`. The channel itself shows that it lives, and nothing on it can be fetched again."""

    __slots__ = ("_last", "_say", "_silenced", "request_id", "streams")

    def __init__(self, request_id: bytes, say: Say, last: Say) -> None:
        """`request_id` is raw JSON, `last` takes the last message, or nothing at all if there is none to send."""
        self.request_id = request_id
        self.streams = True
        self._say = say
        self._last = last
        self._silenced = False

    def silence(self) -> None:
        """Say nothing more: the client has cancelled the request (2025-11-25, basic/utilities/cancellation)."""
        self._silenced = True

    def announce(self, headers: Headers) -> None:
        """See `Responder.announce`."""

    async def finish(self, status: int, message: bytes, headers: Headers = ()) -> None:
        """See `Responder.finish`."""
        await self._last(b"" if self._silenced else message)

    async def accept(self) -> None:
        """See `Responder.accept`; on a channel nothing is said to that."""

    async def event(self, message: bytes, mark: bytes = b"") -> None:
        """See `Responder.event`."""
        if not self._silenced:
            await self._say(message)

    async def prime(self, mark: bytes) -> None:
        """See `Responder.prime`."""

    async def keep_alive(self) -> None:
        """See `Responder.keep_alive`."""

    async def end(self) -> None:
        """See `Responder.end`."""
        await self._last(b"")


class Gathered:
    """The answers to a batch, sent as an array when all are there (2025-03-26, basic, Batching)."""

    def __init__(self, messages: Sequence[Incoming], say: Say) -> None:
        self._missing = sum(_is_answered(message) for message in messages)
        self._say = say
        self._answers: list[bytes] = []

    async def add(self, answer: bytes) -> None:
        """One of the messages has its answer, which may be none."""
        self._missing -= 1
        if answer:
            self._answers.append(answer)
        if not self._missing and self._answers:
            await self._say(b"[" + b",".join(self._answers) + b"]")


def _is_answered(message: Incoming) -> bool:
    return isinstance(message, Malformed) or (isinstance(message, Envelope) and message.id is not None)
