"""An exchange: the life of one call at its backend, from its opening to its outcome.

It belongs to the backend, not to the link that opened it. Its events are numbered from 1 and kept for a while, so that
another link can read on after any of them. One link reads it at a time; the latest to attach wins. An exchange whose
questions wait for another request of the client is parked: nobody reads it until `resume` brings the answers.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actors.bus.asks import Asks
from actors.bus.frames import EventKind
from actors.bus.reader import Kept, Outlet, Reader
from actors.core.call import Call
from actors.core.outcome import Failure, FailureKind, Outcome, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """The limits of the exchanges of one backend replica."""

    max_running: int = 1024
    """Exchanges not yet finished; beyond it a call is refused as busy."""
    keep_seconds: float = 30.0
    """How long a finished exchange can still be attached to."""
    max_kept: int = 1024
    """Finished exchanges kept; those whose outcome was received go first."""
    max_kept_bytes: int = 32 * 1024 * 1024
    """Their parameters, events and outcomes together."""
    max_unread_events: int = 256
    """Events of one exchange that nobody has read; beyond it `emit` accepts questions only."""
    max_unread_bytes: int = 1024 * 1024
    """The same in bytes; one event may go over it."""
    max_read_events: int = 256
    """Events of one exchange kept after they were read, for those who resume from further back."""
    max_read_bytes: int = 256 * 1024
    max_open_asks: int = 64
    """Questions of one exchange without an answer; beyond it `emit` accepts no more."""


class Exchange:
    """One call, as the backend sees it. Made by the bus, finished by the backend."""

    def __init__(
        self,
        exchange_id: bytes,
        call: Call,
        *,
        backend: str,
        settings: ExchangeSettings,
        max_data_bytes: int,
        ended: Callable[["Exchange"], None],
    ) -> None:
        self.id = exchange_id
        self.call = call
        self.on_cancel: Callable[[str], None] | None = None
        """Called once, with the reason, when nobody wants the outcome any more; the backend then calls `finish`."""
        self.on_answer: Callable[[int, bytes], None] | None = None
        """Called once for each ask, with its `seq` and the answer, raw JSON."""
        self.last_seq = 0
        """The number of the latest event: after `emit` of an ask, the one its answer will name."""
        self.cancelled: str | None = None
        """Why it was cancelled, if it was."""
        self.outcome: Outcome | None = None
        self.reader: Reader | None = None
        self._backend = backend
        self._settings = settings
        self._max_data_bytes = max_data_bytes
        self._ended = ended
        self._seen = 0
        self._unread: deque[Kept] = deque()
        self._unread_bytes = 0
        self._read: deque[Kept] = deque()
        self._read_bytes = 0
        self._asks = Asks()

    @property
    def done(self) -> bool:
        """Whether it is finished."""
        return self.outcome is not None

    @property
    def open_asks(self) -> int:
        """Questions without an answer."""
        return len(self._asks)

    @property
    def size(self) -> int:
        """Bytes of parameters, events and outcome that it holds."""
        return len(self.call.params) + self._unread_bytes + self._read_bytes + _size(self.outcome)

    def emit(self, kind: EventKind, data: bytes) -> bool:
        """Take an event, raw JSON parameters; it will be read in order and before the outcome.

        False, and nothing happens, if it cannot be taken: the exchange is done, the event is too large for a frame,
        or too many wait to be read. An ask does not count as too many before `max_open_asks` are without an answer.
        """
        if self.done or len(data) > self._max_data_bytes or not self._has_room(kind):
            return False
        self.last_seq += 1
        event = Kept(self.last_seq, kind, data)
        self._unread.append(event)
        self._unread_bytes += len(data)
        if kind is EventKind.ASK:
            self._asks.add(event)
        if self.reader is not None:
            self.reader.offer(event)
        return True

    def finish(self, outcome: Outcome) -> None:
        """Say what became of the call. Only the first time counts. Callbacks are let go of."""
        if self.done:
            return
        if _size(outcome) > self._max_data_bytes:
            detail = f"an answer of {_size(outcome)} bytes, the limit is {self._max_data_bytes}"
            outcome = Failure(FailureKind.TOO_LARGE, self._backend, detail)
        self.outcome = outcome
        self.on_cancel = self.on_answer = None
        if self._asks:
            self._asks.withdraw_all()
        self._ended(self)
        if self.reader is not None:
            self.reader.finish(outcome)

    def cancel(self, reason: str) -> None:
        """Somebody gave up waiting. Only the first time counts, and nothing does after the outcome."""
        if self.done or self.cancelled is not None:
            return
        self.cancelled = reason
        if self.on_cancel is not None:
            self.on_cancel(reason)

    def answer(self, ask: int, value: bytes) -> None:
        """Hand the first answer to an ask to the backend; another, or one to no ask, is ignored."""
        if self.on_answer is not None and self._asks.answer(ask):
            self.on_answer(ask, value)

    def withdraw(self, ask: int) -> None:
        """The backend wants the answer to an ask no more: it is not sent (again), and its answer is ignored."""
        event = self._asks.withdraw(ask)
        if event is None:
            return
        if event in self._unread:
            self._unread.remove(event)
            self._unread_bytes -= len(event.data)
        if self.reader is not None:
            self.reader.withdraw(event)

    def attach(self, outlet: Outlet, number: int, after: int) -> Reader:
        """Read from after event `after`, instead of whoever reads now. Asks that had their answer are left out."""
        return self._attach(outlet, number, after, again=False)

    def resume(self, outlet: Outlet, number: int, after: int, answers: Sequence[tuple[int, bytes]]) -> None:
        """Read on a parked exchange and hand in answers, in one step. Rungs, in order; the first which decides wins.

        1. If an ask among them had its answer before, the resumption is a repetition: it gets `REPLAYED`, and nothing
           else happens.
        2. Asks which are still open are sent again, also those before `after`; then come the events after it.
        3. The answers reach the backend. Those to asks which ended without one, with the exchange or before, do not.
        """
        taken = self._asks.redeem(ask for ask, _ in answers)
        if taken is None:
            outlet.end(number, Failure(FailureKind.REPLAYED, self._backend))
            outlet.forget(number)
            return
        reader = self._attach(outlet, number, after, again=True)
        for ask, value in answers:
            if ask in taken and self.on_answer is not None:
                taken.discard(ask)
                self.on_answer(ask, value)
        reader.pump()

    def detach(self) -> None:
        """Let nobody read; the exchange goes on."""
        if self.reader is not None:
            self.reader.stop()
            self.reader = None

    def grant(self, seen: int) -> None:
        """The reader has read every event up to `seen`."""
        self._mark_seen(seen)
        if self.reader is not None:
            self.reader.grant(seen)

    def evict(self) -> None:
        """It is no longer kept; a reader who has not had the outcome by now gets none."""
        if self.reader is not None:
            self.reader.replace(Failure(FailureKind.DISCONNECTED, self._backend, "its answer was not read in time"))
            self.reader = None

    def _attach(self, outlet: Outlet, number: int, after: int, *, again: bool) -> Reader:
        if self.reader is not None:
            self.reader.replace(Failure(FailureKind.SUPERSEDED, self._backend))
        if self.last_seq == 0:  # as for nearly every call: it is read before anything happens
            self.reader = Reader(outlet, number, (), self.outcome)
            return self.reader
        self._mark_seen(after)
        told = [each for each in (*self._read, *self._unread) if each.seq > after and each.kind is not EventKind.ASK]
        asked = [each for each in self._asks if again or each.seq > after]
        self.reader = Reader(outlet, number, sorted(told + asked), self.outcome)
        return self.reader

    def _has_room(self, kind: EventKind) -> bool:
        if kind is EventKind.ASK:
            return len(self._asks) < self._settings.max_open_asks
        return (
            len(self._unread) < self._settings.max_unread_events
            and self._unread_bytes < self._settings.max_unread_bytes
        )

    def _mark_seen(self, seen: int) -> None:
        while self._unread and self._unread[0].seq <= seen:
            event = self._unread.popleft()
            self._unread_bytes -= len(event.data)
            self._read.append(event)
            self._read_bytes += len(event.data)
        while len(self._read) > self._settings.max_read_events or self._read_bytes > self._settings.max_read_bytes:
            self._read_bytes -= len(self._read.popleft().data)


def _size(outcome: Outcome | None) -> int:
    match outcome:
        case Reply(body):
            return len(body)
        case Failure():
            return len(outcome.detail)
        case None:
            return 0
