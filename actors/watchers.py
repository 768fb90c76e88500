"""Who hears of updates of which resources in one conversation with a server."""

import asyncio
from typing import Final

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.core.jsonrpc import Message
from actors.core.resource_updates import covering, read_update, update_of
from actors.upstream.upstream import SETTLED, UPDATED, Upstream

BEGUN: Final = b"{}"
"""The data of the first event of a watch: from now on the server tells of all of its resources that it will tell of."""


class Watch:
    """One exchange that hears of some resources, for as long as it is not finished."""

    def __init__(self, exchange: Exchange, uris: tuple[str, ...]) -> None:
        self.exchange: Final = exchange
        self.uris: Final = uris
        self.told = False
        """Whether a server has been told of it: from then on updates may be missed."""
        self._begun = False
        self._owed: dict[str, None] = {}

    def settle(self, settled: set[str]) -> None:
        """Tell once that it has begun, as soon as the server has answered for all of its resources."""
        if not self._begun and settled.issuperset(self.uris):
            self._begun = self.exchange.emit(EventKind.CHANGED, BEGUN)

    def changed(self, uri: str, data: bytes) -> None:
        """Tell of an update of `uri`, one of its own; what the exchange has no room for is owed."""
        if uri in self._owed or not self.exchange.emit(EventKind.CHANGED, data):
            self._owed[uri] = None

    def pay(self) -> None:
        """Tell what is owed, once for each resource, as far as there is room by now."""
        for uri in list(self._owed):
            if not self.exchange.emit(EventKind.CHANGED, update_of(uri)):
                return
            del self._owed[uri]


class Watchers:
    """The watches of one conversation, which may be lost and opened again. The server is asked for all of them at once.

    What changes within one tick of the event loop is told to the server in one go.
    """

    def __init__(self) -> None:
        self._by_uri: dict[str, dict[Watch, None]] = {}
        self._upstream: Upstream | None = None
        self._wanted: frozenset[str] = frozenset()
        """What the server was asked for last."""
        self._settled: set[str] = set()
        """For which of these it has answered."""
        self._due = False

    def __bool__(self) -> bool:
        return bool(self._by_uri)

    def add(self, watch: Watch) -> None:
        """Let one hear from now on."""
        for uri in watch.uris:
            self._by_uri.setdefault(uri, {})[watch] = None
        self._schedule()

    def discard(self, watch: Watch) -> None:
        """Let one hear no more; nothing happens if it does not."""
        for uri in watch.uris:
            hearing = self._by_uri.get(uri, {})
            hearing.pop(watch, None)
            if not hearing:
                self._by_uri.pop(uri, None)
        self._schedule()

    def follow(self, upstream: Upstream | None) -> None:
        """Hear the server through this adapter; nothing while the conversation is lost.

        Whoever heard the server before is told that each of its resources may have changed meanwhile.
        """
        self._upstream = upstream
        self._wanted = frozenset()
        self._settled.clear()
        if upstream is None:
            return
        self._schedule()
        for uri, hearing in self._by_uri.items():
            for watch in hearing:
                if watch.told:
                    watch.changed(uri, update_of(uri))

    def heard(self, message: Message) -> None:
        """Take what the server, or its adapter, says to nobody in particular."""
        if message.method == SETTLED:
            self._answered(message)
            return
        update = read_update(bytes(message.params)) if message.method == UPDATED and self._by_uri else None
        if update is None:
            return
        uri, data = update
        told: set[Watch] = set()
        for subscribed in covering(uri):
            for watch in self._by_uri.get(subscribed, ()):
                if watch not in told:
                    told.add(watch)
                    watch.changed(subscribed, data)

    def _answered(self, message: Message) -> None:
        answered = read_update(bytes(message.params))
        if answered is not None and answered[0] in self._wanted:
            self._settled.add(answered[0])
            for watch in list(self._by_uri.get(answered[0], ())):
                watch.settle(self._settled)

    def _schedule(self) -> None:
        if self._upstream is not None and not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._subscribe)

    def _subscribe(self) -> None:
        self._due = False
        if self._upstream is None:
            return
        wanted = frozenset(self._by_uri)
        if wanted != self._wanted:
            self._wanted = wanted
            self._settled &= wanted
            self._upstream.subscribe(wanted)
        for watch in {watch for hearing in self._by_uri.values() for watch in hearing}:
            watch.told = True
            watch.settle(self._settled)
