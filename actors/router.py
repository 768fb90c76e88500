"""The Router: which backends exist, what they offer, which sessions live, and how every ingress learns of it.

A plain class: `actors.runtime` makes it an actor, tests use it as it is. It never sees a call. It waits for nobody:
Backends tell it, ingress replicas watch it, and Metrics is told.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import structlog

from actors.core.binding import Binding
from actors.core.limits.report import LimitReport, LimitShares
from actors.core.link_keys import LinkKeys
from actors.core.link_refusal import Refused
from actors.core.load import Load
from actors.core.membership import Heard, ReplicaKey, ReplicaState, Status
from actors.core.replica_book import ReplicaBook
from actors.core.roster import Changes, Orders, Roster
from actors.core.server_state import ServerState
from actors.core.session_book import NO_REASONS, Opening, SessionBook
from actors.core.session_end import End
from actors.core.session_state import Change, Found, SessionNews, SessionState
from actors.core.settings import BackendSettings, Naming, ServerSettings
from actors.core.terms import Terms
from actors.core.tokens.revocations import Revocations
from actors.core.view import View
from actors.diary import Diary
from actors.link_key_desk import LinkKeyDesk
from actors.memory import Memory
from actors.refs.asking import WATCH_SECONDS
from actors.refs.metrics import MetricsRef
from actors.roster_desk import RosterDesk
from actors.server_desk import ServerDesk
from actors.session_desk import SessionDesk
from actors.share_desk import ShareDesk
from actors.view_desk import ViewDesk

LOST_SECONDS: Final = 16.0
"""A replica that gave no sign of life for three beats is taken to be gone."""

GATHER_SECONDS: Final = 8.0
"""How long a Router that has just started listens before it publishes less than everything, and before it calls a
session unknown: after a restart the Backends and the sessions are all there, and will be told."""

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
        diary: Diary | None = None,
        clock: Callable[[], float] = time.monotonic,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        """`generation` is another one for each life of the actor; `server` has the limits of sessions.

        `memory` is of the run before, and for the next; there is none by default, nor a `diary`.
        Without `backends` it waits for `adopt`: an actor that restarts knows only what there was at its first start.
        """
        self._naming = naming
        self._metrics = metrics
        self._clock = clock
        self._started_at = clock()
        self._replicas = ReplicaBook()
        limits = server or ServerSettings()
        self._prefer_zone = limits.prefer_zone
        self._memory = memory or Memory(None)
        self._recalled = False
        """Whether lists of the run before may be published, and nobody is there yet who could tell newer ones."""
        book = SessionBook(idle_seconds=limits.session_idle_seconds, max_sessions=limits.max_sessions)
        self._diary = diary or Diary()
        book.on_end = self._diary.session_ended
        self._memory.restore(book, limits.session_idle_seconds, clock())
        self._views = ViewDesk(generation, self._next_view, watch_seconds=watch_seconds)
        changed = self._views.publish_soon
        self._desk = RosterDesk(generation, backends, changed, watch_seconds=watch_seconds, clock=clock)
        self._servers = ServerDesk(self._desk, self._replicas, self._memory, self._diary)
        self._sessions = SessionDesk(
            generation,
            book,
            gather_seconds=GATHER_SECONDS,
            watch_seconds=watch_seconds,
            stands=self._stands,
            clock=clock,
        )
        self._shares = ShareDesk(clock)
        self._link_keys = LinkKeyDesk()
        self._revocations: Revocations | None = None
        self._closing = False
        self._rounds: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return "Router"

    async def report(self, status: Status) -> None:
        """A Backend tells what it is now. What is older than what is known is ignored."""
        self._keep_time()
        if not self._is_replica(status.key) or not self._replicas.report(status, self._clock()):
            return
        self._servers.learn(status)
        self._views.publish_soon()

    async def beat(
        self, key: ReplicaKey, epoch: str, sequence: int, load: Load, link_key: int = 0, refused: Refused = ()
    ) -> Heard:
        """A Backend lives, is so loaded, and accepts links with the keys up to the one of this number.

        `refused` are the connections in this life of it that were no links.
        """
        self._keep_time()
        self._link_keys.hear(key, link_key)
        known = self._replicas.beat(key, epoch, sequence, load, self._clock(), refused)
        return Heard(known, self._link_keys.keys.number)

    async def link_keys(self) -> LinkKeys:
        """All keys that links are opened with, for those who accept; none if it was not told any yet."""
        return self._link_keys.keys

    async def knows_link_key(self, number: int) -> bool:
        """Whether the command has told the key of this number here; if not, it shall. A new Router knows none."""
        return self._link_keys.keys.number >= number

    async def tell_link_keys(self, keys: LinkKeys) -> None:
        """The command has made a key. Backends hear of it as they beat, and ingress replicas when those have it."""
        self._keep_time()
        if self._link_keys.tell(keys, self._clock()):
            self._views.publish_soon()

    async def bury(self, key: ReplicaKey, epoch: str) -> None:
        """An ingress replica has proof that this life of a replica is over. A beat of it, and it is not."""
        if self._replicas.bury(key, epoch):
            log.warning("replica_gone", replica=str(key))
            self._views.publish_soon()

    async def close(self) -> None:
        """The gateway is about to end: let every ingress know, so that streams end in good order."""
        self._closing = True
        self._views.publish()

    async def flush(self) -> None:
        """Have everything written that is kept for the next run, and for the audit; waits for the disk."""
        await asyncio.gather(asyncio.to_thread(self._memory.flush), self._diary.drain())

    async def watch(self, generation: str, version: int) -> View:
        """See `ViewDesk.watch`."""
        self._keep_time()
        return await self._views.watch(generation, version)

    async def orders(self, generation: str, version: int) -> Orders:
        """See `RosterDesk.orders`."""
        self._keep_time()
        return await self._desk.orders(generation, version)

    async def adopt(self, orders: Orders) -> None:
        """See `RosterDesk.adopt`. Orders of no Router before this one begin a new run of the gateway.

        Then nobody runs who could tell anything, and what was kept is published at once; else it is waited for.
        """
        begins = not self._desk.known and not orders.generation
        self._desk.adopt(orders)
        if begins and self._memory.lasts:
            self._sessions.be_certain()
            self._recalled = self._servers.recall()

    async def configure(self, backends: Sequence[BackendSettings], terms: Terms | None = None) -> Changes:
        """See `Roster.configure`."""
        return self._servers.configure(backends, terms)

    async def add_server(self, name: str, settings: BackendSettings, source: bytes) -> str:
        """See `ServerDesk.add`."""
        return self._servers.add(name, settings, source)

    async def remove_server(self, name: str) -> str:
        """See `ServerDesk.remove`."""
        return self._servers.remove(name)

    async def servers(self) -> tuple[ServerState, ...]:
        """Every server as it is now, in alphabetical order."""
        return self._servers.survey().servers()

    async def accept_definitions(self, name: str) -> str:
        """See `ServerDesk.accept`."""
        reason = self._servers.accept(name)
        if not reason:
            self._views.publish_soon()
        return reason

    async def ask_reload(self) -> int:
        """See `Roster.ask_reload`."""
        return self._desk.ask_reload()

    async def house(self, key: ReplicaKey, host: str) -> bool:
        """See `Roster.house`."""
        return self._desk.house(key, host)

    async def holdings(self, host: str) -> tuple[tuple[ReplicaKey, BackendSettings, int], ...]:
        """What a host shall house, with the slot of each."""
        berths = self._roster.berths.values()
        return tuple((berth.key, berth.settings, berth.slot) for berth in berths if berth.host == host)

    async def wake(self, name: str) -> None:
        """See `RosterDesk.wake`."""
        self._desk.wake(name)

    async def clear(self, key: ReplicaKey) -> None:
        """A replica that retired has ended: forget it."""
        self._replicas.forget(key)
        self._link_keys.forget(key)
        self._desk.clear(key)

    async def open_session(self, state: SessionState, most: int | None = None) -> Opening:
        """See `SessionDesk.open`."""
        return self._sessions.open(state, most)

    async def share_limits(self, report: LimitReport) -> LimitShares:
        """See `ShareDesk.share`."""
        return self._shares.share(report)

    async def revoke(self, revocations: Revocations) -> None:
        """The Vault tells what is revoked now; every ingress hears of it at once, and sessions end with it."""
        self._keep_time()
        self._revocations = revocations
        self._views.publish()
        self._sessions.revoke(revocations)

    async def knows_revocations(self, mark: str) -> bool:
        """Whether the Vault has told these here; if not, it shall. A Router that starts again knows none."""
        return self._revocations is not None and self._revocations.mark == mark

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

    async def tell_sessions(
        self, states: Iterable[SessionState], ended: Iterable[bytes], reasons: Mapping[bytes, End] = NO_REASONS
    ) -> None:
        """See `SessionDesk.tell`; an end that happens is told in the same way as one that happened."""
        self._keep_time()
        self._sessions.tell(states, ended, reasons)

    async def session_news(self, generation: str, after: int) -> SessionNews:
        """See `SessionDesk.news`."""
        self._keep_time()
        return await self._sessions.news(generation, after)

    @property
    def _roster(self) -> Roster:
        return self._desk.roster

    def _is_replica(self, key: ReplicaKey) -> bool:
        return key in self._roster.berths or not self._desk.known

    def _stands(self, binding: Binding) -> bool:
        """Whether the replica that a session is bound to takes its calls; believed of what was not heard of yet."""
        status = self._replicas.statuses.get(binding.replica)
        if status is None:
            return self._clock() - self._started_at < GATHER_SECONDS
        # what a session is bound to was up, and no life begins twice: one that is said to start is over
        leaves = status.state in (ReplicaState.DRAINING, ReplicaState.STARTING)
        return status.epoch == binding.epoch and not leaves

    def _next_view(self, before: View) -> View | None:
        if not self._desk.known:
            return None
        is_young = self._clock() - self._started_at < GATHER_SECONDS
        if is_young and not (self._recalled or before.version or self._complete()):
            return None
        self._servers.recall()
        self._replicas.keep(self._roster.backends)
        self._metrics.observe(self._servers.facts())
        said = {"prefer_zone": self._prefer_zone, "closing": self._closing}
        return self._servers.survey().view(before, self._naming, self._revocations, self._link_keys.published, **said)

    def _complete(self) -> bool:
        """Whether every replica has said something since this Router started."""
        return all(key in self._replicas.statuses for key in self._roster.berths)

    def _keep_time(self) -> None:
        """Start the rounds, which need a running loop that the constructor of an actor does not have."""
        if self._rounds is None:
            self._rounds = asyncio.get_running_loop().create_task(self._go_round())
            self._diary.begin()

    async def _go_round(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.look_round()

    def look_round(self) -> None:
        """Notice who has gone silent and what is used no longer, and publish what was held back long enough."""
        self._sessions.look_round()
        serving = {key.backend for key in self._replicas.up}
        self._desk.scale(self._replicas.in_flight(), serving)
        now = self._clock()
        for key in self._replicas.lose(now, LOST_SECONDS):
            log.warning("replica_lost", replica=str(key), silent_seconds=LOST_SECONDS)
            self._views.publish_soon()
        if self._views.view.version == 0 and self._replicas.statuses and now - self._started_at >= GATHER_SECONDS:
            self._views.publish_soon()
        if self._link_keys.look(self._replicas.statuses.keys(), now):
            log.info("link_key_spread", number=self._link_keys.keys.number)
            self._views.publish_soon()
        self._metrics.observe(self._servers.facts())
