"""What one open stream looks out for: the lists of its endpoint, and resources."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from actors.core import jsonrpc
from actors.core.client import Client
from actors.core.offer import Offer
from actors.core.routing import Rejection, Route
from actors.core.view import BackendView
from serve_app.bindings import Bindings
from serve_app.downstream.announcements import Announcements
from serve_app.downstream.resource_watch import ResourceWatch
from serve_app.links import Links
from serve_app.outlook import Outlook

BEGIN_SECONDS: Final = 2.0
"""How long a client waits until its resources are followed; those of a server that is slow or away are later on."""

MAX_WATCHES: Final = 10_000
"""Streams open at one ingress replica; each costs a connection, too."""


class _Followed(NamedTuple):
    task: asyncio.Task[None]
    begun: asyncio.Event


class Watches:
    """All open streams of one ingress replica."""

    def __init__(self, outlook: Outlook, links: Links, bindings: Bindings, dice: Callable[[], float]) -> None:
        self._outlook = outlook
        self._links = links
        self._bindings = bindings
        self._dice = dice
        self._open: set[Watch] = set()
        self.closing = False
        """Whether the gateway is about to end: no stream is opened any more."""
        outlook.listeners.append(self.look)

    @property
    def full(self) -> bool:
        """Whether no more streams can be opened."""
        return self.closing or len(self._open) >= MAX_WATCHES

    def open(self, client: Client, lists: Iterable[str], known: Mapping[str, str] | None = None) -> "Watch":
        """Look out for changes of these lists of the client's endpoint, since their digests were as `known`."""
        watch = Watch(self._outlook, self._links, self._bindings, client, lists, known, self._dice, self._open.discard)
        self._open.add(watch)
        return watch

    def look(self) -> None:
        """There is a new View."""
        self.closing = self._outlook.view.closing
        for watch in list(self._open):
            if self.closing:
                watch.announcements.close()
            else:
                watch.look()


class Watch:
    """One stream's."""

    def __init__(
        self,
        outlook: Outlook,
        links: Links,
        bindings: Bindings,
        client: Client,
        lists: Iterable[str],
        known: Mapping[str, str] | None,
        dice: Callable[[], float],
        closed: Callable[["Watch"], None],
    ) -> None:
        self.announcements = Announcements()
        self._outlook = outlook
        self._links = links
        self._bindings = bindings
        self._client = client
        self._dice = dice
        self._closed = closed
        offer = self._offer()
        now = offer.digests if offer is not None else {}
        self.digests: dict[str, str] = {name: (known or now).get(name, "") for name in lists}
        """Of the lists, as the client knows them."""
        self._followed: dict[frozenset[str], _Followed] = {}
        self._completed: tuple[str, ...] = ()
        """Elicitations, as they were last said to be."""
        self.look()

    def look(self) -> None:
        """Announce the lists that changed."""
        offer = self._offer()
        if offer is None:
            return
        for name, known in self.digests.items():
            if offer.digests[name] != known:
                self.digests[name] = offer.digests[name]
                self.announcements.list_changed(name)

    def follow(self, uris: Iterable[str], *, missed: bool) -> None:
        """Follow resources besides those that are; `missed` says that they may have changed unnoticed before."""
        by_backend: dict[str, dict[str, str]] = {}
        for uri in uris:
            owner = owner_of(self._offer(), uri, self._client)
            if owner is not None:
                by_backend.setdefault(owner.owned.backend, {})[owner.owned.name] = uri
        for backend, names in by_backend.items():
            watch = ResourceWatch(
                self._links,
                self._bindings,
                self._finder(backend),
                self._client,
                names,
                self.announcements,
                dice=self._dice,
            )
            task = asyncio.get_running_loop().create_task(watch.run(missed=missed))
            self._followed[frozenset(names.values())] = _Followed(task, watch.begun)

    def follow_only(self, uris: Iterable[str], *, missed: bool) -> None:
        """Follow these resources, each by itself, and no others; `missed` as for `follow`."""
        wanted = {frozenset([uri]) for uri in uris}
        for key in self._followed.keys() - wanted:
            self._followed.pop(key).task.cancel()
        for key in wanted - self._followed.keys():
            self.follow(key, missed=missed)

    def complete(self, elicitations: tuple[str, ...]) -> None:
        """Announce those elicitations with which the user is done and was not before."""
        for elicitation in elicitations:
            if elicitation not in self._completed:
                self.announcements.completed(elicitation)
        self._completed = elicitations

    async def begun(self, seconds: float = BEGIN_SECONDS) -> None:
        """Wait until the servers tell of all resources that are followed, but no longer than so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for followed in list(self._followed.values()):
                    await followed.begun.wait()

    def close(self) -> None:
        """Look no more."""
        for followed in self._followed.values():
            followed.task.cancel()
        self._followed.clear()
        self._closed(self)

    def _offer(self) -> Offer | None:
        return self._outlook.offer(self._client.endpoint or None)

    def _finder(self, backend: str) -> Callable[[], BackendView | None]:
        return lambda: self._outlook.view.backends.get(backend)


def owner_of(offer: Offer | None, uri: str, client: Client) -> Route | None:
    """Where a resource is read; nothing if nobody has it."""
    if offer is None:
        return None
    route = offer.route("resources/read", {"uri": jsonrpc.raw(uri)}, client.era)
    return None if isinstance(route, Rejection) else route


def can_be_followed(offer: Offer, uri: str, client: Client) -> bool:
    """Whether there is a server that tells when this resource changes."""
    owner = owner_of(offer, uri, client)
    backend = offer.view.backends.get(owner.owned.backend) if owner is not None else None
    return backend is not None and backend.facts is not None and backend.facts.offers("resources", "subscribe")
