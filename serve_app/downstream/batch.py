"""Answers the requests of one batch together (2025-03-26, basic/transports, Sending Messages)."""

from serve_app.downstream.responder import HttpResponder
from serve_app.http import Headers


class Batch:
    """Gathers the last messages of all requests into an array, or streams them if one has more to say."""

    def __init__(self, whole: HttpResponder, expected: int) -> None:
        """`expected` is how many last messages there will be."""
        self.streams = whole.streams
        self._whole = whole
        self._expected = expected
        self._gathered: list[bytes] = []
        self._streaming = False

    def part(self) -> "Part":
        """The responder of one message."""
        return Part(self)

    async def finish_one(self, message: bytes) -> None:
        """One request has been answered."""
        if self._streaming:
            await self._whole.event(message)
        else:
            self._gathered.append(message)

    async def event(self, message: bytes | None) -> None:
        """One request has something to say before its last message, or a sign of life."""
        if not self._streaming:
            self._streaming = True
            for gathered in self._gathered:
                await self._whole.event(gathered)
        if message is None:
            await self._whole.keep_alive()
        else:
            await self._whole.event(message)

    async def end(self) -> None:
        """All have been answered."""
        if self._streaming:
            await self._whole.end()
        elif self._expected:
            await self._whole.finish(200, b"[" + b",".join(self._gathered) + b"]")
        else:
            await self._whole.accept()


class Part:
    """Answers one message of a batch; see `Responder`."""

    def __init__(self, batch: Batch) -> None:
        self.streams = batch.streams
        self._batch = batch

    def announce(self, headers: Headers) -> None:
        """See `Responder.announce`; a batch has several limits, and one answer."""

    async def finish(self, status: int, message: bytes, headers: Headers = ()) -> None:
        """See `Responder.finish`."""
        await self._batch.finish_one(message)

    async def accept(self) -> None:
        """See `Responder.accept`; the batch is answered as a whole."""

    async def event(self, message: bytes, mark: bytes = b"") -> None:
        """See `Responder.event`."""
        if self.streams:
            await self._batch.event(message)

    async def prime(self, mark: bytes) -> None:
        """See `Responder.prime`; an answer among others has no mark of its own."""

    async def end(self) -> None:
        """See `Responder.end`; the batch ends as a whole."""

    async def keep_alive(self) -> None:
        """See `Responder.keep_alive`."""
        if self.streams:
            await self._batch.event(None)
