"""Follows resources of one backend for one open stream, through every loss of the way to it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from actors.bus.frames import Event, EventKind
from actors.core import jsonrpc
from actors.core.backoff import Backoff
from actors.core.balance_key import affinity_of
from actors.core.call import Call
from actors.core.client import Client
from actors.core.outcome import FailureKind, Outcome, Reply
from actors.core.view import BackendView
from serve_app.bindings import Bindings
from serve_app.downstream.announcements import Announcements
from serve_app.flight import Flight
from serve_app.links import Links

METHOD: Final = "subscriptions/listen"
FOR_LONG: Final = 86_400.0
"""Seconds; the watch ends with its stream."""

BACKOFF: Final = Backoff(first=0.5, factor=2.0, cap=30.0)


class ResourceWatch:
    """One subscription at one backend; `run` until cancelled.

    What may have been missed while there was no way to the backend is announced once when there is one again.
    """

    def __init__(
        self,
        links: Links,
        bindings: Bindings,
        find: Callable[[], BackendView | None],
        client: Client,
        uris: Mapping[str, str],
        announcements: Announcements,
        *,
        dice: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`find` gives the backend as it is now; `uris` has the client's name of each resource by the server's."""
        self._links = links
        self._bindings = bindings
        self._find = find
        self._client = client
        self._uris = uris
        self._announcements = announcements
        self._dice = dice
        self._sleep = sleep
        self.begun: Final = asyncio.Event()
        """Whether the server tells of changes, or it is known that it never will."""

    async def run(self, *, missed: bool) -> None:
        """Follow until the backend cannot be subscribed to; `missed` says that it was for a while without us."""
        try:
            await self._run(missed=missed)
        finally:
            self.begun.set()

    async def _run(self, *, missed: bool) -> None:
        attempt = 0
        while (backend := self._find()) is not None:
            if missed:
                for uri in self._uris.values():
                    self._announcements.updated(uri, {})
            outcome, heard = await self._follow(backend)
            if isinstance(outcome, Reply) or outcome.kind is FailureKind.UNSUPPORTED:
                return
            attempt = 0 if heard else attempt + 1
            await self._sleep(BACKOFF.delay(attempt, self._dice()))
            missed = True

    async def _follow(self, backend: BackendView) -> tuple[Outcome, bool]:
        """How the subscription ended, and whether anything was heard of it before."""
        affinity = affinity_of(backend, self._client, None, {}, {})
        pinned = self._bindings.held(self._client, backend)
        flight = Flight(self._links, backend, self._call(), affinity=affinity, pinned=pinned)
        heard = False
        try:
            while isinstance(item := await flight.next(), Event):
                heard = True
                if item.kind is EventKind.CHANGED:
                    self.begun.set()
                    self._tell(item.data)
            return item, heard
        finally:
            flight.cancel("the stream is closed")
            flight.leave()

    def _call(self) -> Call:
        client = self._client
        return Call(
            METHOD,
            jsonrpc.encode({"resourceSubscriptions": list(self._uris)}),
            FOR_LONG,
            capabilities=client.capabilities,
            client_info=client.info,
            origin=client.session or None,
            principal=client.principal,
            session=client.session,
        )

    def _tell(self, data: bytes) -> None:
        try:
            params = jsonrpc.decode_object(data)
        except msgspec.DecodeError:
            return
        uri = self._uris.get(jsonrpc.text(params.pop("uri", None)) or "")
        params.pop("_meta", None)
        if uri is not None:
            self._announcements.updated(uri, params)
