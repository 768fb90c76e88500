"""A flight of a session that is bound: to the replica which has its state, and to no other."""

from typing import Final

import msgspec

from actors.bus.frames import Event
from actors.core.call import Call
from actors.core.client import Client
from actors.core.outcome import Failure, FailureKind, Outcome
from actors.core.view import BackendView
from serve_app.bindings import MAX_ROUNDS, Bindings, Placed, where_of
from serve_app.flight import Flight
from serve_app.links import Links
from serve_app.retries import Retries

NEVER_RAN: Final = frozenset({FailureKind.UNAVAILABLE, FailureKind.SESSION_LOST})
"""What a replica says of a call that its server has not seen, and never will there."""


class BoundFlight(Flight):
    """Learns where its session is bound before it opens anything. It has one attempt: no other replica will do."""

    def __init__(
        self,
        bindings: Bindings,
        client: Client,
        links: Links,
        backend: BackendView,
        call: Call,
        *,
        affinity: bytes | None,
        retries: Retries | None = None,
    ) -> None:
        """`affinity` chooses the replica of a session that is not bound yet."""
        super().__init__(links, backend, call, affinity=affinity, retries=retries)
        self._bindings = bindings
        self._client = client
        self._began = bindings.clock()
        self._placing, self._attempts = self._attempts, None
        self._placed: Placed | None = None
        self._rounds = 0
        self._unsettled: Failure | None = None
        """Where the call was bound to it never ran; what that means is yet to be asked."""

    async def next(self) -> Event | Outcome:
        """See `Flight.next`; `SESSION_LOST` comes instead of the first event, and of a call that did not run."""
        while True:
            if self._unsettled is None:
                failure = await self._find_place()
                if failure is not None:
                    return failure
                item = await super().next()
                if not (isinstance(item, Failure) and self._never_ran(item)):
                    return item
                self._unsettled = item
            assert self._placed is not None, "it never ran there"  # noqa: S101
            refused = await self._bindings.refused(self._client, self._placed, self._unsettled, self._began)
            if refused is not None or self._rounds == MAX_ROUNDS:
                return refused or self._unsettled
            self._placed = self._unsettled = self._attachment = self._place = None

    async def _find_place(self) -> Failure | None:
        """Learn where the session is bound, unless that is known; or why it is not."""
        if self._placed is None and self._placing is not None and isinstance(self._call, Call):
            placed = await self._bindings.place(self._client, self._backend.name, self._placing.place, self._began)
            if isinstance(placed, Failure):
                return placed
            self._rounds += 1
            self._placed, self._pinned = placed, where_of(placed.binding)
            self._call = msgspec.structs.replace(self._call, binding=placed.binding.number)
        return None

    def _never_ran(self, failure: Failure) -> bool:
        return self.where is None or failure.kind in NEVER_RAN
