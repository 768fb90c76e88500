"""The caller's reading of one exchange: its events in order, then how it ended."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from actors.bus.frames import WINDOW, Answer, Cancel, Detach, Event, Frame, Grant, weight
from actors.core.outcome import Outcome

GRANT_AT: Final = WINDOW // 2
"""Credit goes back in halves of the window: one frame for many events, and the writer never has to stop for it."""


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The link is gone and the exchange goes on: attach to it over another link, after `Attachment.last_seq`."""

    reason: str
    """For people."""


class Attachment:
    """Made by a `CallerLink`. Whoever holds one reads it to its end, or detaches.

    `send` writes a frame to the link, false if that is impossible; `forget` tells the link to listen no more.
    """

    def __init__(self, number: int, send: Callable[[Frame], bool], forget: Callable[[int], None]) -> None:
        self.last_seq = 0
        """The highest number of the events which `next` has returned, or the one attached after."""
        self._number = number
        self._send = send
        self._forget = forget
        self._events: deque[Event] = deque()
        self._outstanding = 0
        self._read = 0
        self._end: Outcome | LinkLost | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def next(self) -> Event | Outcome | LinkLost:
        """The next event; after all of them the outcome, or `LinkLost`, again and again.

        May be cancelled without losing anything. One caller at a time.
        """
        while not self._events:
            if self._end is not None:
                return self._end
            if self._waiter is not None:
                raise RuntimeError("somebody waits for this attachment already")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        event = self._events.popleft()
        if event.seq > self.last_seq:  # an ask that is sent again comes from before
            self.last_seq = event.seq
        self._read += weight(event.data)
        if self._read >= GRANT_AT and self._end is None:
            self._outstanding -= self._read
            self._read = 0
            self._send(Grant(self._number, event.seq))
        return event

    def answer(self, ask: int, value: bytes) -> bool:
        """Answer the event of kind ask whose `seq` is `ask`, raw JSON; false if it cannot be sent over this link.

        An answer may be lost with the link: attach again and repeat it, the backend takes the first.
        """
        return self._end is None and self._send(Answer(self._number, ask, value))

    def cancel(self, reason: str) -> None:
        """Tell the backend that nobody wants the outcome any more; it will still send one."""
        if self._end is None:
            self._send(Cancel(self._number, reason))

    def detach(self) -> None:
        """Read no further; the exchange goes on. Safe to repeat, and after the end."""
        if self._end is None:
            self._forget(self._number)
            self._send(Detach(self._number))
            self.ended(LinkLost("detached"))

    def take(self, event: Event) -> bool:
        """An event has arrived; false if the writer had no credit for it."""
        if self._outstanding >= WINDOW:
            return False
        self._outstanding += weight(event.data)
        self._events.append(event)
        self._wake()
        return True

    def ended(self, end: Outcome | LinkLost) -> None:
        """Nothing more arrives. Only the first time counts."""
        if self._end is None:
            self._end = end
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
