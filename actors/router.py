"""The Router: which backends exist, what they offer, which sessions live, and how every ingress learns of it.

A plain class: `actors.runtime` makes it an actor, tests use it as it is. It never sees a call. It waits for nobody:
Backends tell it, ingress replicas watch it, and Metrics is told.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from actors.core.binding import Binding
from actors.core.catalogue import aggregate
from actors.core.listing import Listing
from actors.core.load import Load
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.replica_book import ReplicaBook
from actors.core.roster import Added, Changes, Orders
from actors.core.server_state import ServerState
from actors.core.session_book import SessionBook
from actors.core.session_state import Change, Found, SessionNews, SessionState
from actors.core.settings import BackendSettings, Naming, ServerSettings
from actors.core.view import BackendView, View
from actors.memory import Memory
from actors.refs import WATCH_SECONDS, MetricsRef
from actors.roster_desk import RosterDesk
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
        backends: Sequence[BackendSettings] | None,
        naming: Naming,
        *,
        generation: str,
        metrics: MetricsRef,
        server: ServerSettings | None = None,
        memory: Memory | None = None,
        clock: Callable[[], float] = time.monotonic,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        """`generation` is another one for each life of the actor; `server` has the limits of sessions.

        `memory` is of the run before, and for the next; there is none by default.
        Without `backends` it waits for `adopt`: an actor that restarts knows only what there was at its first start.
        """
        self._naming = naming
        self._metrics = metrics
        self._clock = clock
        self._watch_seconds = watch_seconds
        self._started_at = clock()
        self._replicas = ReplicaBook()
        limits = server or ServerSettings()
        self._prefer_zone = limits.prefer_zone
        self._memory = memory or Memory(None)
        self._recalled = False
        """Whether lists of the run before may be published, and nobody is there yet who could tell newer ones."""
        book = SessionBook(idle_seconds=limits.session_idle_seconds, max_sessions=limits.max_sessions)
        self._memory.restore(book, limits.session_idle_seconds, clock())
        self._roster = RosterDesk(generation, backends, self._publish_soon, watch_seconds=watch_seconds, clock=clock)
        self._sessions = SessionDesk(
            generation,
            book,
            gather_seconds=GATHER_SECONDS,
            watch_seconds=watch_seconds,
            stands=self._stands,
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
        if not self._is_replica(status.key) or not self._replicas.report(status, self._clock()):
            return
        berth = self._roster.berths.get(status.key)
        if status.state is ReplicaState.UP and status.listing is not None and berth is not None:
            self._memory.keep(berth.settings, status.listing, self._replicas.facts.get(status.key.backend))
        self._retire_outdated()
        self._publish_soon()

    async def beat(self, key: ReplicaKey, epoch: str, sequence: int, load: Load) -> bool:
        """A Backend lives, and is so loaded. False asks it to report in full: what it said last is not known here."""
        self._keep_time()
        return self._replicas.beat(key, epoch, sequence, load, self._clock())

    async def close(self) -> None:
        """The gateway is about to end: let every ingress know, so that streams end in good order."""
        self._closing = True
        self._publish()
        await asyncio.to_thread(self._memory.flush)

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

    async def orders(self, generation: str, version: int) -> Orders:
        """See `RosterDesk.orders`."""
        self._keep_time()
        return await self._roster.orders(generation, version)

    async def adopt(self, orders: Orders) -> None:
        """See `RosterDesk.adopt`. Orders of no Router before this one begin a new run of the gateway.

        Then nobody runs who could tell anything, and what was kept is published at once; else it is waited for.
        """
        begins = not self._roster.known and not orders.generation
        self._roster.adopt(orders)
        if begins and self._memory.lasts:
            self._sessions.be_certain()
            self._recalled = self._recall()

    async def configure(self, backends: Sequence[BackendSettings]) -> Changes:
        """See `Roster.configure`."""
        changes = self._roster.configure(backends)
        self._memory.forget(changes.removed)
        self._retire_outdated()
        return changes

    async def add_server(self, name: str, settings: BackendSettings, source: bytes) -> str:
        """Add a server, or change one that was added; says why not, or nothing."""
        if name in self._roster.backends and name not in self._roster.added:
            return f"the configuration file has a server {name!r}: change it there"
        self._roster.add(Added(settings, source))
        self._memory.put_server(name, source)
        self._retire_outdated()
        return ""

    async def remove_server(self, name: str) -> str:
        """Remove a server that was added; says why not, or nothing."""
        if name not in self._roster.added:
            known = name in self._roster.backends
            return f"the server {name!r} is in the configuration file: remove it there" if known else "no such server"
        self._memory.remove_server(name)
        self._memory.forget(self._roster.remove(name).removed)
        return ""

    async def servers(self) -> tuple[ServerState, ...]:
        """Every server as it is now, in alphabetical order."""
        shown = self._replicas.shown(self._roster.berths)
        return tuple(self._server_state(name, shown.get(name, ())) for name in self._roster.backends)

    async def ask_reload(self) -> int:
        """See `Roster.ask_reload`."""
        return self._roster.ask_reload()

    async def house(self, key: ReplicaKey, host: str) -> None:
        """See `Roster.house`."""
        self._roster.house(key, host)

    async def holdings(self, host: str) -> tuple[tuple[ReplicaKey, BackendSettings, int], ...]:
        """What a host shall house, with the slot of each."""
        berths = self._roster.berths.values()
        return tuple((berth.key, berth.settings, berth.slot) for berth in berths if berth.host == host)

    async def wake(self, name: str) -> None:
        """See `RosterDesk.wake`."""
        self._roster.wake(name)

    async def clear(self, key: ReplicaKey) -> None:
        """A replica that retired has ended: forget it."""
        self._replicas.forget(key)
        self._roster.clear(key)

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
        used = tuple(nonces)
        self._sessions.touch(used)
        self._memory.touch_sessions(used)

    async def tell_sessions(self, states: Iterable[SessionState], ended: Iterable[bytes]) -> None:
        """See `SessionDesk.tell`; an end that happens is told in the same way as one that happened."""
        self._sessions.tell(states, ended)

    async def session_news(self, generation: str, after: int) -> SessionNews:
        """See `SessionDesk.news`."""
        self._keep_time()
        return await self._sessions.news(generation, after)

    def _is_replica(self, key: ReplicaKey) -> bool:
        return key in self._roster.berths or not self._roster.known

    def _stands(self, binding: Binding) -> bool:
        """Whether the replica that a session is bound to takes its calls; believed of what was not heard of yet."""
        status = self._replicas.statuses.get(binding.replica)
        if status is None:
            return self._clock() - self._started_at < GATHER_SECONDS
        return status.epoch == binding.epoch and status.state is not ReplicaState.DRAINING

    def _is_news(self, generation: str, version: int) -> bool:
        return self._view.version > 0 and (self._view.generation, self._view.version) != (generation, version)

    def _publish_soon(self) -> None:
        if self._changes is None:
            self._changes = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._publish)

    def _publish(self) -> None:
        self._changes = None
        if not self._roster.known:
            return
        if not self._complete() and not self._recalled and self._clock() - self._started_at < GATHER_SECONDS:
            return
        self._recall()
        backends = self._roster.backends
        self._replicas.keep(backends)
        shown = self._replicas.shown(self._roster.berths)
        self._view = View(
            generation=self._view.generation,
            version=self._view.version + 1,
            backends={name: self._backend_view(each, shown.get(name, ())) for name, each in backends.items()},
            catalogue=aggregate(self._replicas.listings, self._naming),
            leaving=tuple(status for name, left in shown.items() if name not in backends for status in left),
            prefer_zone=self._prefer_zone,
            closing=self._closing,
        )
        self._published.set()
        self._published = asyncio.Event()
        self._tell_metrics()

    def _recall(self) -> bool:
        """Take lists of the run before for those of backends that told none yet; whether there were any."""
        recalled = False
        for name, settings in self._roster.backends.items():
            known = self._memory.recall(settings)
            if known is not None and name not in self._replicas.listings:
                self._replicas.listings[name] = known.listing
                if known.facts is not None:
                    self._replicas.facts.setdefault(name, known.facts)
                recalled = True
        return recalled

    def _complete(self) -> bool:
        """Whether every replica has said something since this Router started, or it has published before."""
        return self._view.version > 0 or all(key in self._replicas.statuses for key in self._roster.berths)

    def _backend_view(self, settings: BackendSettings, replicas: tuple[Status, ...]) -> BackendView:
        return BackendView(
            name=settings.name,
            timeout=settings.timeout,
            timeouts=settings.timeouts,
            max_timeout=settings.max_timeout,
            park_seconds=settings.park_seconds,
            isolation=settings.isolation,
            balancer=settings.balancer,
            stickiness=settings.stickiness,
            ejection=settings.ejection,
            retry=settings.retry,
            wakes=settings.scale.min == 0,
            start_timeout=settings.start_timeout,
            replicas=replicas,
            facts=self._replicas.facts.get(settings.name),
            listing=self._replicas.listings.get(settings.name, Listing()),
        )

    def _server_state(self, name: str, replicas: tuple[Status, ...]) -> ServerState:
        added = self._roster.added.get(name)
        return ServerState(
            name=name,
            origin="file" if added is None else "added",
            wanted=self._roster.count(name),
            source=b"" if added is None else added.source,
            tools=len(self._replicas.listings.get(name, Listing()).tools),
            replicas=replicas,
            loads=tuple(self._replicas.load(status.key) for status in replicas),
        )

    def _retire_outdated(self) -> None:
        self._roster.settle(self._replicas.up)

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
        serving = {key.backend for key in self._replicas.up}
        self._roster.scale(self._replicas.in_flight(), serving)
        now = self._clock()
        for key in self._replicas.lose(now, LOST_SECONDS):
            log.warning("replica_lost", replica=str(key), silent_seconds=LOST_SECONDS)
            self._publish_soon()
        if self._view.version == 0 and self._replicas.statuses and now - self._started_at >= GATHER_SECONDS:
            self._publish_soon()
        self._tell_metrics()

    def _tell_metrics(self) -> None:
        self._metrics.observe(self._replicas.backend_facts())
