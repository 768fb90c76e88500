"""The Router: which backends exist, what they offer, which sessions live, and how every ingress learns of it.

A plain class: `actors.runtime` makes it an actor, tests use it as it is. It never sees a call. It waits for nobody:
Backends tell it, ingress replicas watch it, and Metrics is told.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from actors.core.catalogue import aggregate
from actors.core.listing import Facts, Listing
from actors.core.load import Load
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.session_book import SessionBook
from actors.core.session_state import Change, Found, SessionNews, SessionState
from actors.core.settings import BackendSettings, Naming, ServerSettings
from actors.core.tally import BackendFacts
from actors.core.view import BackendView, View
from actors.refs import WATCH_SECONDS, MetricsRef
from actors.session_desk import SessionDesk

LOST_SECONDS: Final = 16.0
"""A replica that gave no sign of life for three beats is taken to be gone."""

GATHER_SECONDS: Final = 8.0
"""How long a Router that has just started listens before it publishes less than everything, and before it calls a
session unknown: after a restart the Backends and the sessions are all there, and will be told."""

QUIET_SECONDS: Final = 0.05
"""Changes that come together are published together."""

log = structlog.get_logger()


class Router:
    """Owns membership, catalogue and sessions; publishes the View."""

    def __init__(
        self,
        backends: Sequence[BackendSettings],
        naming: Naming,
        *,
        generation: str,
        metrics: MetricsRef,
        server: ServerSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        """`generation` is another one for each life of the actor; `server` has the limits of sessions."""
        self._backends: Mapping[str, BackendSettings] = {each.name: each for each in backends}
        self._naming = naming
        self._metrics = metrics
        self._clock = clock
        self._watch_seconds = watch_seconds
        self._started_at = clock()
        self._statuses: dict[ReplicaKey, Status] = {}
        self._heard_at: dict[ReplicaKey, float] = {}
        self._former: dict[ReplicaKey, str] = {}
        """The epoch of each replica's life before this one."""
        self._loads: dict[ReplicaKey, Load] = {}
        self._restarts: dict[ReplicaKey, int] = {}
        self._listings: dict[str, Listing] = {}
        self._facts: dict[str, Facts] = {}
        limits = server or ServerSettings()
        self._sessions = SessionDesk(
            generation,
            SessionBook(idle_seconds=limits.session_idle_seconds, max_sessions=limits.max_sessions),
            gather_seconds=GATHER_SECONDS,
            watch_seconds=watch_seconds,
            clock=clock,
        )
        self._view = View(generation=generation)
        self._closing = False
        self._published = asyncio.Event()
        self._changes: asyncio.TimerHandle | None = None
        self._rounds: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return "Router"

    async def report(self, status: Status) -> None:
        """A Backend tells what it is now. What is older than what is known is ignored."""
        self._keep_time()
        known = self._statuses.get(status.key)
        if not self._is_replica(status.key) or (known is not None and self._is_old(status, known)):
            return
        if known is not None and known.epoch != status.epoch:
            self._loads.pop(status.key, None)
            self._restarts[status.key] = self._restarts.get(status.key, 0) + known.restarts + 1
            self._former[status.key] = known.epoch
        self._heard_at[status.key] = self._clock()
        self._statuses[status.key] = status
        # a replica that is away still has its last lists, and they must not undo those of one that is up
        is_up, backend = status.state is ReplicaState.UP, status.key.backend
        if status.listing is not None and (is_up or backend not in self._listings):
            self._listings[backend] = status.listing
        if status.facts is not None and (is_up or backend not in self._facts):
            self._facts[backend] = status.facts
        self._publish_soon()

    async def beat(self, key: ReplicaKey, epoch: str, sequence: int, load: Load) -> bool:
        """A Backend lives, and is so loaded. False asks it to report in full: what it said last is not known here."""
        self._keep_time()
        known = self._statuses.get(key)
        if known is None or known.epoch != epoch or known.sequence != sequence:
            return False
        self._heard_at[key] = self._clock()
        self._loads[key] = load
        return True

    async def close(self) -> None:
        """The gateway is about to end: let every ingress know, so that streams end in good order."""
        self._closing = True
        self._publish()

    async def watch(self, generation: str, version: int) -> View:
        """Give the View as soon as it differs from the one named, or after a while even so."""
        self._keep_time()
        if self._is_news(generation, version):
            return self._view
        try:
            async with asyncio.timeout(self._watch_seconds):
                while not self._is_news(generation, version):
                    await self._published.wait()
        except TimeoutError:
            pass
        return self._view

    async def open_session(self, state: SessionState) -> bool:
        """See `SessionDesk.open`."""
        return self._sessions.open(state)

    async def find_sessions(self, asked: Iterable[SessionState]) -> Found:
        """See `SessionDesk.find`."""
        return self._sessions.find(asked)

    async def change_session(self, asked: SessionState, change: Change) -> Found:
        """See `SessionDesk.change`."""
        return self._sessions.change(asked, change)

    async def touch_sessions(self, nonces: Iterable[bytes]) -> None:
        """See `SessionDesk.touch`."""
        self._sessions.touch(nonces)

    async def tell_sessions(self, states: Iterable[SessionState], ended: Iterable[bytes]) -> None:
        """See `SessionDesk.tell`; an end that happens is told in the same way as one that happened."""
        self._sessions.tell(states, ended)

    async def session_news(self, generation: str, after: int) -> SessionNews:
        """See `SessionDesk.news`."""
        self._keep_time()
        return await self._sessions.news(generation, after)

    def _is_replica(self, key: ReplicaKey) -> bool:
        settings = self._backends.get(key.backend)
        return settings is not None and 0 <= key.index < settings.replicas

    def _is_old(self, status: Status, known: Status) -> bool:
        if status.epoch == known.epoch:
            return status.sequence < known.sequence
        return status.epoch == self._former.get(status.key)

    def _is_news(self, generation: str, version: int) -> bool:
        return self._view.version > 0 and (self._view.generation, self._view.version) != (generation, version)

    def _publish_soon(self) -> None:
        if self._changes is None:
            self._changes = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._publish)

    def _publish(self) -> None:
        self._changes = None
        if not self._complete() and self._clock() - self._started_at < GATHER_SECONDS:
            return
        listings = {name: self._listings[name] for name in self._backends if name in self._listings}
        self._view = View(
            generation=self._view.generation,
            version=self._view.version + 1,
            backends={name: self._backend_view(settings) for name, settings in sorted(self._backends.items())},
            catalogue=aggregate(listings, self._naming),
            closing=self._closing,
        )
        self._published.set()
        self._published = asyncio.Event()
        self._tell_metrics()

    def _complete(self) -> bool:
        """Whether every replica has said something since this Router started."""
        return len(self._statuses) == sum(settings.replicas for settings in self._backends.values())

    def _backend_view(self, settings: BackendSettings) -> BackendView:
        replicas = [self._statuses.get(ReplicaKey(settings.name, index)) for index in range(settings.replicas)]
        return BackendView(
            name=settings.name,
            timeout=settings.timeout,
            park_seconds=settings.park_seconds,
            isolation=settings.isolation,
            replicas=tuple(_without_listing(status) for status in replicas if status is not None),
            facts=self._facts.get(settings.name),
            listing=self._listings.get(settings.name, Listing()),
        )

    def _keep_time(self) -> None:
        """Start the rounds, which need a running loop that the constructor of an actor does not have."""
        if self._rounds is None:
            self._rounds = asyncio.get_running_loop().create_task(self._go_round())

    async def _go_round(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.look_round()

    def look_round(self) -> None:
        """Notice who has gone silent and what is used no longer, and publish what was held back long enough."""
        self._sessions.look_round()
        now = self._clock()
        for key, heard_at in self._heard_at.items():
            status = self._statuses[key]
            if status.state is not ReplicaState.DOWN and now - heard_at > LOST_SECONDS:
                log.warning("replica_lost", replica=str(key), silent_seconds=round(now - heard_at))
                self._statuses[key] = _lost(status)
                self._loads.pop(key, None)
                self._publish_soon()
        if self._view.version == 0 and self._statuses and now - self._started_at >= GATHER_SECONDS:
            self._publish_soon()
        self._tell_metrics()

    def _tell_metrics(self) -> None:
        self._metrics.observe(
            [
                BackendFacts(
                    backend=key.backend,
                    replica=key.index,
                    up=status.state is ReplicaState.UP,
                    restarts=self._restarts.get(key, 0) + status.restarts,
                    tools=len(self._listings.get(key.backend, Listing()).tools),
                    breaker=load.breaker,
                    in_flight=load.in_flight,
                )
                for key, status in self._statuses.items()
                for load in (self._loads.get(key, Load()),)
            ]
        )


def _without_listing(status: Status) -> Status:
    return msgspec.structs.replace(status, listing=None)


def _lost(status: Status) -> Status:
    """Its next beat finds another sequence here than its own, and so reports in full."""
    return msgspec.structs.replace(status, state=ReplicaState.DOWN, detail="it gives no sign of life", sequence=-1)
