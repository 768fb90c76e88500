"""The exchanges of one replica that hear of updates of resources, until nobody wants to hear any more."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from actors.bus.exchange import Exchange
from actors.conversations import Claim, Conversations
from actors.core.listing import Facts
from actors.core.outcome import Failure, FailureKind
from actors.core.resource_updates import UnfitError, read_uris
from actors.upstream.upstream import CallLater
from actors.watchers import Watch

MAX_SUBSCRIPTIONS: Final = 4096
"""Of one replica; each holds up to 256 URIs and as many events that were not read."""

UNREAD_SECONDS: Final = 600.0
"""A subscription that nobody reads for so long has been forgotten."""

SWEEP_SECONDS: Final = 5.0
"""Between two looks at who is still there, and at what is owed."""


class Subscriptions:
    """Admits subscriptions and ends them. `clock` is monotonic and in seconds."""

    def __init__(
        self,
        backend: str,
        conversations: Conversations,
        *,
        clock: Callable[[], float],
        limit: int = MAX_SUBSCRIPTIONS,
        call_later: CallLater | None = None,
    ) -> None:
        """`call_later` is the loop's, if it is not given."""
        self._backend = backend
        self._conversations = conversations
        self._clock = clock
        self._limit = limit
        self._call_later = call_later
        self._claims: dict[Watch, Claim | None] = {}
        """Every subscription; without a conversation until it is known what the server is."""
        self._last_read: dict[Watch, float] = {}
        self._facts: Facts | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._claims)

    def opened(self, exchange: Exchange) -> None:
        """Admit a subscription, or refuse it at once. Rungs, in order:

        1. It names resources, and not too many.
        2. There are not too many subscriptions.
        3. The server has subscriptions; one that was never up yet may have.
        4. The conversation of its caller has room for it.
        """
        try:
            watch = Watch(exchange, read_uris(exchange.call.params))
        except UnfitError as error:
            self._refuse(exchange, FailureKind.UNSUPPORTED, str(error))
            return
        if len(self._claims) >= self._limit:
            self._refuse(exchange, FailureKind.BUSY, f"it has {self._limit} subscriptions, and takes no more")
            return
        exchange.on_cancel = partial(self._end, watch, FailureKind.CANCELLED)
        self._claims[watch] = None
        self._last_read[watch] = self._clock()
        self._place(watch)
        self._schedule()

    def learned(self, facts: Facts | None) -> None:
        """What the server said of itself when it came up."""
        if facts is None or facts == self._facts:
            return
        self._facts = facts
        for watch in list(self._claims):
            self._place(watch)

    def cancelled_origin(self, origin: bytes) -> None:
        """End those that were opened for one downstream request, or in one downstream session."""
        for watch in list(self._claims):
            if origin in (watch.exchange.call.origin, watch.exchange.call.session):
                self._end(watch, FailureKind.CANCELLED, "the client is gone")

    def sweep(self) -> None:
        """End what nobody has read for long, and tell what is owed."""
        now = self._clock()
        for watch in list(self._claims):
            if watch.exchange.reader is not None:
                self._last_read[watch] = now
            elif now - self._last_read[watch] >= UNREAD_SECONDS:
                self._end(watch, FailureKind.CANCELLED, f"nobody has read it for {UNREAD_SECONDS:g} s")
                continue
            watch.pay()

    def close(self) -> None:
        """End all: the backend is stopping."""
        for watch in list(self._claims):
            self._end(watch, FailureKind.UNAVAILABLE, "it is stopping")
        if self._timer is not None:
            self._timer.cancel()

    def _place(self, watch: Watch) -> None:
        if self._facts is None:
            return
        if not self._facts.offers("resources", "subscribe"):
            self._end(watch, FailureKind.UNSUPPORTED, "it tells of no updates of resources")
            return
        if self._claims[watch] is not None:
            return
        key = self._conversations.key_of(watch.exchange.call)
        crowding = self._conversations.crowding(key)
        if crowding is not None:
            self._forget(watch)
            watch.exchange.finish(crowding)
            return
        claim = self._claims[watch] = self._conversations.claim(key)
        claim.host.watchers.add(watch)

    def _end(self, watch: Watch, kind: FailureKind, detail: str) -> None:
        self._forget(watch)
        self._refuse(watch.exchange, kind, detail)

    def _forget(self, watch: Watch) -> None:
        claim = self._claims.pop(watch)
        del self._last_read[watch]
        if claim is not None:
            claim.host.watchers.discard(watch)
            claim.release()

    def _refuse(self, exchange: Exchange, kind: FailureKind, detail: str) -> None:
        exchange.finish(Failure(kind, self._backend, detail))

    def _schedule(self) -> None:
        if self._timer is None:
            call_later = self._call_later or asyncio.get_running_loop().call_later
            self._timer = call_later(SWEEP_SECONDS, self._swept)

    def _swept(self) -> None:
        self._timer = None
        self.sweep()
        if self._claims:
            self._schedule()
