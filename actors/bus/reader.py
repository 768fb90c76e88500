"""One link's reading of one exchange: what it has still to be sent, and the credit for it."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from actors.bus.frames import WINDOW, Event, EventKind, Frame, weight
from actors.core.outcome import Outcome


class Kept(NamedTuple):
    """An event, before it is addressed to anybody."""

    seq: int
    kind: EventKind
    data: bytes


class Outlet(Protocol):
    """The link that a reader writes to."""

    @property
    def writable(self) -> bool:
        """Whether more may be sent now."""

    def send(self, frame: Frame) -> bool:
        """Send a frame; false if that is not possible at all."""

    def wait(self, reader: "Reader") -> None:
        """Call `reader.pump` once there is room again."""

    def end(self, number: int, outcome: Outcome) -> None:
        """Send an outcome, with the replica's load."""

    def forget(self, number: int) -> None:
        """The number is read by nobody any more."""


class Reader:
    """Sends events while there is credit and room, and the outcome after all of them."""

    def __init__(self, outlet: Outlet, number: int, pending: Iterable[Kept], outcome: Outcome | None) -> None:
        self.done = False
        """Whether the outcome was sent."""
        self._outlet = outlet
        self._number = number
        self._pending = deque(pending)
        self._outcome = outcome
        self._unread: deque[Kept] = deque()
        self._outstanding = 0

    def offer(self, event: Kept) -> None:
        """Send an event, now or later."""
        self._pending.append(event)
        self.pump()

    def finish(self, outcome: Outcome) -> None:
        """Send the outcome, after the events."""
        self._outcome = outcome
        self.pump()

    def withdraw(self, event: Kept) -> None:
        """Do not send an event, unless it was sent."""
        if event in self._pending:
            self._pending.remove(event)

    def grant(self, seen: int) -> None:
        """The other end has read every event up to `seen`."""
        while self._unread and self._unread[0].seq <= seen:
            self._outstanding -= weight(self._unread.popleft().data)
        self.pump()

    def stop(self) -> None:
        """Send no more."""
        self._pending.clear()
        self._outcome = None

    def replace(self, outcome: Outcome) -> None:
        """Send this instead of all that is left, and let go of the number."""
        self.stop()
        if not self.done:
            self._outlet.end(self._number, outcome)
        self._outlet.forget(self._number)

    def pump(self) -> None:
        """Send what can be sent now."""
        while self._pending and self._outstanding < WINDOW:
            if not self._outlet.writable:
                self._outlet.wait(self)
                return
            event = self._pending.popleft()
            self._unread.append(event)
            self._outstanding += weight(event.data)
            self._outlet.send(Event(self._number, event.seq, event.kind, event.data))
        if self._pending or self._outcome is None or self.done:
            return
        if not self._outlet.writable:
            self._outlet.wait(self)
            return
        self.done = True
        self._outlet.end(self._number, self._outcome)
