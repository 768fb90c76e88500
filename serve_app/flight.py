"""One downstream request on its way through the bus: chosen, opened, and followed wherever it must be followed."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from actors.bus.attachment import Attachment, LinkLost
from actors.bus.dialer import CallerLink
from actors.bus.frames import Event, EventKind
from actors.core.call import Call
from actors.core.membership import ReplicaKey
from actors.core.outcome import NEVER_SENT, Failure, FailureKind, Outcome
from actors.core.view import BackendView
from actors.core.where import Where
from serve_app.links import Links

ID_BYTES: Final = 16

MAX_ANSWERS: Final = 64
"""Answers kept until they are known to have arrived, the latest: a backend has no more questions open at once
(`ExchangeSettings.max_open_asks`), so none that a broken link swallowed is older."""

GONE: Final = "the replica that held this call is gone; call again"
BROKEN: Final = "the link to it broke"
NO_LINK: Final = "there is no link to it"


@dataclass(frozen=True, slots=True)
class Continued:
    """An exchange that runs already."""

    where: Where
    parked: bool
    """Whether its questions wait: those still open are asked again."""


class Flight:
    """Follows a call to its outcome: to another replica if the first never saw it, over a new link if one breaks.

    A call that may have run is never opened twice: after a broken link the same exchange is attached to.
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
    ) -> None:
        """`token_bytes` gives the exchange's id. Calls of equal `affinity` go to one replica as long as they can.

        A `pinned` call goes to this life of this replica and no other; its exchange is a new one.
        """
        self._links = links
        self._backend = backend
        self._call = call
        self._token_bytes = token_bytes
        self._affinity = affinity
        self._pinned = pinned
        self._tried: list[ReplicaKey] = []
        self._place: tuple[ReplicaKey, str, bytes] | None = None
        """The replica, its epoch, and the exchange's id there."""
        self._attachment: Attachment | None = None
        self._answers: dict[int, bytes] = {}
        self._asked: set[int] = set()

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

    async def next(self) -> Event | Outcome:
        """The next event, or the outcome, which is the last. No question comes twice."""
        while True:
            attachment = self._attachment or await self._start()
            if isinstance(attachment, Failure):
                return attachment
            item = await attachment.next()
            if isinstance(item, LinkLost):
                if not await self._attach_again(attachment.last_seq):
                    return Failure(FailureKind.DISCONNECTED, self._backend.name, BROKEN)
            elif isinstance(item, Failure) and item.kind in NEVER_SENT and self._has_others():
                self._attachment = None
            elif not isinstance(item, Event) or item.kind is not EventKind.ASK:
                return item
            elif item.seq not in self._asked:
                self._asked.add(item.seq)
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
        chosen = self._links.choose(self._backend, self._tried, affinity=self._affinity)
        if chosen is None and not self._tried:
            await self._links.wait_for_any(self._backend)
            chosen = self._links.choose(self._backend, affinity=self._affinity)
        if chosen is None:
            detail = NO_LINK if self._backend.up else self._backend.detail
            return Failure(FailureKind.UNAVAILABLE, self._backend.name, detail)
        return self._open_on(*chosen, call)

    def _open_on(self, key: ReplicaKey, link: CallerLink, call: Call) -> Attachment:
        self._tried.append(key)
        exchange_id = self._token_bytes(ID_BYTES)
        self._place = key, self._links.epoch(key) or "", exchange_id
        return link.open(call, exchange_id)

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

    def _has_others(self) -> bool:
        if self._pinned is not None or isinstance(self._call, Continued):
            return False
        return self._links.choose(self._backend, self._tried) is not None
