"""What goes out on one channel: message after message, and no more in waiting than is good."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from serve_app.downstream.channel_responder import ChannelResponder, Say
from serve_app.http import ClientGone

MAX_REPLIES: Final = 256
"""Refusals that wait to be sent; a client with more of them sends without reading."""

WRITE_SECONDS: Final = 60.0
"""How long a client may take to read one message."""

Write = Callable[[bytes], Awaitable[None]]
"""Sends one message, whole and before those of later calls. Raises OSError if the client is gone."""


class Ending(StrEnum):
    """Why a channel has nothing more to say; the value is the sentence for the client."""

    SILENT = "initialize did not come"
    ENDED = "the session has ended"
    UNREAD = "what was sent here was not read"


class Outgoing:
    """Sends to one client, and notices when that is of no use any more. Belongs to one event loop."""

    def __init__(self, write: Write, write_seconds: float = WRITE_SECONDS) -> None:
        self._write = write
        self._write_seconds = write_seconds
        self._replies: set[asyncio.Task[None]] = set()
        self._closed = False
        self.over: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        """Done when the channel has to end."""

    async def say(self, message: bytes) -> None:
        """See `Say`; no message at all is passed over."""
        if not message:
            return
        try:
            async with asyncio.timeout(self._write_seconds):
                await self._write(message)
        except OSError as error:  # of which TimeoutError is one
            self.end(Ending.UNREAD)
            raise ClientGone from error

    def reply(self, message: bytes, last: Say | None = None) -> None:
        """Send without waiting until the client reads; `last` may be the way of one of a batch."""
        if self._closed:
            return
        if len(self._replies) >= MAX_REPLIES:
            self.end(Ending.UNREAD)
            return
        task = asyncio.create_task(_said(last or self.say, message))
        self._replies.add(task)
        task.add_done_callback(self._replies.discard)

    def responder(self, request_id: bytes, last: Say | None = None) -> ChannelResponder:
        """What answers one request; `last` as for `reply`."""
        return ChannelResponder(request_id, self.say, last or self.say)

    async def sent(self) -> None:
        """Wait until the replies are sent."""
        if self._replies:
            await asyncio.wait(set(self._replies))

    def end(self, ending: Ending) -> None:
        """Let the channel end. Only the first time counts."""
        if not self.over.done():
            self.over.set_result(ending)

    def close(self) -> None:
        """Send nothing more."""
        self._closed = True
        for task in self._replies:
            task.cancel()


async def _said(say: Say, message: bytes) -> None:
    try:
        await say(message)
    except ClientGone:
        return
