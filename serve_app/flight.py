"""One downstream request on its way through the bus: chosen, opened, and followed wherever it must be followed."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from actors.bus.attachment import Attachment, LinkLost
from actors.bus.dialer import CallerLink
from actors.bus.frames import Event, EventKind
from actors.core.call import Call
from actors.core.incident import Incident
from actors.core.membership import ReplicaKey
from actors.core.outcome import Failure, FailureKind, Outcome
from actors.core.time_limit import longest
from actors.core.view import BackendView
from actors.core.where import Where
from serve_app.attempts import NO_LINK, Attempts
from serve_app.links import Links
from serve_app.retries import Retries

ID_BYTES: Final = 16

MAX_ANSWERS: Final = 64
"""Answers kept until they are known to have arrived, the latest: a backend has no more questions open at once
(`ExchangeSettings.max_open_asks`), so none that a broken link swallowed is older."""

SOON: Final = 0.1
"""Seconds within which a call needs not be told how late it is: this spares a copy of nearly every call."""

UNTIMED: Final = frozenset({EventKind.ASK, EventKind.CHANGED})
"""Events of calls that last as long as their client takes to answer, or wants to be told."""

GONE: Final = "the replica that held this call is gone; call again"
BROKEN: Final = "the link to it broke"


@dataclass(frozen=True, slots=True)
class Continued:
    """An exchange that runs already."""

    where: Where
    parked: bool
    """Whether its questions wait: those still open are asked again."""


class Flight:
    """Follows a call to its outcome: to another replica if one fails it, over a new link if one breaks.

    After a broken link the same exchange is attached to. A call that may have run is opened once more, as another
    exchange, only if it is repeatable and nothing was heard of it before; see `core.retry`.
    """

    def __init__(
        self,
        links: Links,
        backend: BackendView,
        call: Call | Continued,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
        *,
        affinity: bytes | None = None,
        pinned: Where | None = None,
        retries: Retries | None = None,
        repeatable: bool = False,
    ) -> None:
        """`token_bytes` gives the exchange's id. Calls of equal `affinity` go to one replica as long as they can.

        A `pinned` call goes to this life of this replica and no other; its exchange is a new one. It does no harm if a
        `repeatable` one runs twice. Without `retries` it shares no budget with others.
        """
        self._links = links
        self._backend = backend
        self._call = call
        self._token_bytes = token_bytes
        self._pinned = pinned
        self._retries = retries or Retries()
        self._attempts: Attempts | None = None
        """Of a call that any replica may have."""
        if isinstance(call, Call) and pinned is None:
            self._attempts = Attempts(
                links, backend, self._retries, call.time_left, affinity=affinity, repeatable=repeatable
            )
        self._opened_at: float | None = None
        self._place: tuple[ReplicaKey, str, bytes] | None = None
        """The replica, its epoch, and the exchange's id there."""
        self._attachment: Attachment | None = None
        self._answers: dict[int, bytes] = {}
        self._asked: set[int] = set()
        self._heard = False
        self._timed = True
        """Whether only the server decides how long the call takes."""

    @classmethod
    def resume(cls, links: Links, backend: BackendView, where: Where, answers: Sequence[tuple[int, bytes]]) -> "Flight":
        """Go on with a parked exchange: hand in answers (see `CallerLink.resume`), and read on after `where.after`.

        It gets `REPLAYED` if one of the questions was answered before, `DISCONNECTED` if its replica is gone.
        """
        flight = cls(links, backend, Continued(where, parked=True))
        flight._answers.update(answers)
        return flight

    @classmethod
    def attach(cls, links: Links, backend: BackendView, where: Where) -> "Flight":
        """Read an exchange after `where.after` for a client whose stream broke."""
        return cls(links, backend, Continued(where, parked=False))

    @property
    def where(self) -> Where | None:
        """Where the exchange is and how far `next` has read it, also after `leave`; nothing before it is opened."""
        if self._place is None or self._attachment is None:
            return None
        return Where(*self._place, self._attachment.last_seq)

    @property
    def time_limit(self) -> float:
        """Seconds the call may take, but for those that it waits for its client; the most it may be if that is open."""
        return longest(self._backend) if isinstance(self._call, Continued) else self._call.time_left

    async def next(self) -> Event | Outcome:
        """The next event, or the outcome, which is the last. No question comes twice."""
        while True:
            item = await self._read()
            if not isinstance(item, Event):
                self._note(item)
                if isinstance(item, Failure) and self._again(item):
                    continue
                return item
            self._heard = True
            if item.kind is EventKind.ASK:
                if item.seq in self._asked:
                    continue
                self._asked.add(item.seq)
            if item.kind in UNTIMED:
                self._timed = False
            return item

    def answer(self, ask: int, value: bytes) -> None:
        """Answer the event of kind ask whose `seq` is `ask`, raw JSON. The backend takes the first answer to each."""
        self._answers[ask] = value
        if len(self._answers) > MAX_ANSWERS:
            del self._answers[next(iter(self._answers))]
        if self._attachment is not None:
            self._attachment.answer(ask, value)

    def cancel(self, reason: str) -> None:
        """Nobody wants the outcome any more."""
        if self._attachment is not None:
            self._attachment.cancel(reason)

    def leave(self) -> None:
        """Read no further; the call goes on."""
        if self._attachment is not None:
            self._attachment.detach()

    def expire(self) -> None:
        """Its time is over, and its backend has not ended it: give it up."""
        self._note(Failure(FailureKind.TIMEOUT, self._backend.name))
        self.cancel("timeout")
        self.leave()

    def beside(self) -> "Flight | None":
        """A second attempt at the same call while this one goes on: it is the only one, and on another replica.

        Nothing if there is no other replica that takes calls, or no budget.
        """
        call = self._call
        if self._attempts is None or isinstance(call, Continued):
            return None
        place = self._attempts.beside()
        if place is None:
            return None
        pinned = Where(place[0], self._links.epoch(place[0]) or "", b"", 0)
        call = self._timely(call)
        return Flight(self._links, self._backend, call, self._token_bytes, pinned=pinned, retries=self._retries)

    def befell(self, incident: Incident) -> None:
        """Count something that befell this call."""
        self._retries.note(incident, self._backend.name)

    async def _read(self) -> Event | Outcome:
        while True:
            attachment = self._attachment or await self._start()
            if isinstance(attachment, Failure):
                return attachment
            item = await attachment.next()
            if not isinstance(item, LinkLost):
                return item
            if not await self._attach_again(attachment.last_seq):
                return Failure(FailureKind.DISCONNECTED, self._backend.name, BROKEN)

    def _again(self, failure: Failure) -> bool:
        if self._attempts is None or self._heard or not self._attempts.again(failure):
            return False
        self._attachment = self._place = None
        return True

    def _note(self, outcome: Outcome) -> None:
        """Say once what an attempt came to, to what chooses replicas; what is gone on with began elsewhere."""
        if self._place is None or self._opened_at is None:
            return
        seconds, self._opened_at = self._retries.clock() - self._opened_at, None
        if (self._timed or isinstance(outcome, Failure)) and self._links.note(self._place[0], outcome, seconds):
            self.befell(Incident.EJECTION)

    async def _start(self) -> Attachment | Failure:
        started = await (self._continue(self._call) if isinstance(self._call, Continued) else self._open(self._call))
        if not isinstance(started, Failure):
            self._attachment = started
        return started

    async def _continue(self, continued: Continued) -> Attachment | Failure:
        where = continued.where
        link = await self._link_to(where)
        if isinstance(link, Failure):
            return link
        self._place = where.replica, where.epoch, where.exchange_id
        if continued.parked:
            return link.resume(where.exchange_id, where.after, list(self._answers.items()))
        return link.attach(where.exchange_id, where.after)

    async def _open(self, call: Call) -> Attachment | Failure:
        if self._pinned is not None:
            link = await self._link_to(self._pinned)
            if isinstance(link, Failure):
                return link
            return self._open_on(self._pinned.replica, link, call)
        assert self._attempts is not None, "a call that is not pinned has attempts"  # noqa: S101
        place = await self._attempts.place()
        if isinstance(place, Failure):
            return place
        return self._open_on(*place, self._timely(call))

    def _open_on(self, key: ReplicaKey, link: CallerLink, call: Call) -> Attachment:
        exchange_id = self._token_bytes(ID_BYTES)
        self._place = key, self._links.epoch(key) or "", exchange_id
        self._opened_at = self._retries.clock()
        return link.open(call, exchange_id)

    def _timely(self, call: Call) -> Call:
        """The call with the time that is left of it."""
        left = call.time_left if self._attempts is None else self._attempts.time_left
        return call if call.time_left - left < SOON else msgspec.structs.replace(call, time_left=left)

    async def _link_to(self, where: Where) -> CallerLink | Failure:
        """The link to the replica of an exchange, or why there is none."""
        link = await self._links.again(where.replica, where.epoch)
        if link is not None:
            return link
        if self._links.epoch(where.replica) == where.epoch:
            return Failure(FailureKind.UNAVAILABLE, self._backend.name, NO_LINK)
        return Failure(FailureKind.DISCONNECTED, self._backend.name, GONE)

    async def _attach_again(self, after: int) -> bool:
        """Go on over another link, which gets all answers once more: those of before may be lost, or not."""
        if self._place is None:
            return False
        key, epoch, exchange_id = self._place
        link = await self._links.again(key, epoch)
        if link is None:
            return False
        for ask, value in self._answers.items():
            link.answer(exchange_id, ask, value)
        parked = isinstance(self._call, Continued) and self._call.parked
        self._attachment = link.resume(exchange_id, after, ()) if parked else link.attach(exchange_id, after)
        return True
