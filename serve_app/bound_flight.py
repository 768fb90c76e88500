"""A flight of a session that is bound: to the replica which has its state, and to no other."""

from actors.bus.frames import Event
from actors.core.binding import Binding
from actors.core.call import Call
from actors.core.client import Client
from actors.core.outcome import Failure, FailureKind, Outcome
from actors.core.view import BackendView
from serve_app.bindings import Bindings, where_of
from serve_app.flight import Flight
from serve_app.links import Links
from serve_app.retries import Retries


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
        self._binding: Binding | None = None

    async def next(self) -> Event | Outcome:
        """See `Flight.next`; a session that is lost is a reply, an error with the reason `bindings.LOST`."""
        if self._attempts is not None:
            place = await self._bindings.place(self._client, self._backend.name, self._attempts.place)
            if not isinstance(place, Binding):
                return place
            self._binding, self._pinned = place, where_of(place)
            self._attempts = None
        item = await super().next()
        if self._binding is not None and isinstance(item, Failure) and self._never_ran(item):
            return await self._bindings.refused(self._client, self._binding, item)
        return item

    def _never_ran(self, failure: Failure) -> bool:
        return self.where is None or failure.kind is FailureKind.UNAVAILABLE
