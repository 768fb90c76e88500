"""Starts and stops Backends as the Router orders, as long as the command runs: actors belong to it, and go with it."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from actors.core.backoff import Backoff
from actors.core.membership import ReplicaKey, Status
from actors.core.roster import Berth, Orders
from actors.refs.gone import ActorGone

ACTOR_SECONDS: Final = 60.0
"""How long Ray may take to give a Backend a process, beyond what its server may take to start."""

LEAVE_SECONDS: Final = 1.0
"""Between the order that a replica retires and its stop. No call is lost without it, for a replica that stops says so
to every ingress (`Backend.stop`); but as a rule they have heard of its successors by then and have links to them, so
no call is refused, none that waits for room has to begin anew elsewhere, and none has to wait for the View."""

PAUSE_SECONDS: Final = 0.5
"""Between two attempts to reach a Router that is not there."""

CLEAR_ATTEMPTS: Final = 120

BACKOFF: Final = Backoff(first=1.0, factor=2.0, cap=60.0, jitter=0.0)
"""Between two attempts to start a Backend. Without dice: attempts take turns, and each wait is told to a person."""

log = structlog.get_logger()


class Backends(Protocol):
    """What is started; `actors.refs.backend.BackendRef` is one."""

    async def begin(self, limit: float) -> Status:
        """See `BackendRef.begin`."""

    async def stop(self, drain_seconds: float) -> None:
        """See `BackendRef.stop`."""

    def end(self) -> None:
        """See `BackendRef.end`."""


class Commander(Protocol):
    """Who orders; `actors.refs.router.RouterRef` is one."""

    async def orders(self, generation: str, version: int) -> Orders:
        """See `RouterRef.orders`."""

    async def adopt(self, orders: Orders) -> None:
        """See `RouterRef.adopt`."""

    async def clear(self, key: ReplicaKey) -> None:
        """See `RouterRef.clear`."""


class Fleet:
    """Belongs to one event loop."""

    def __init__(
        self,
        router: Commander,
        start: Callable[[Berth], Backends],
        *,
        start_concurrency: int,
        drain_seconds: float,
        on_status: Callable[[Status], None],
        on_trouble: Callable[[str], None],
        on_reload: Callable[[], None] = lambda: None,
        on_orders: Callable[[Orders], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`start` has the actor of a berth started; `on_trouble` takes a sentence for a person.

        `on_reload` is called when somebody asked for the configuration to be read again, and `on_orders` with all
        orders before they are carried out.
        """
        self._router = router
        self._start = start
        self._turns = asyncio.Semaphore(start_concurrency)
        self._drain_seconds = drain_seconds
        self._on_status = on_status
        self._on_trouble = on_trouble
        self._on_reload = on_reload
        self._on_orders = on_orders
        self._sleep = sleep
        self._ships: dict[ReplicaKey, _Ship] = {}
        self._orders = Orders("", 0)
        self._following: asyncio.Task[None] | None = None

    async def begin(self, orders: Orders) -> list[Status]:
        """Carry out the first orders, and follow those that come; gives what each replica came to, in order.

        One whose first attempt fails has come to nothing yet, and is tried again as long as it is ordered.
        """
        await self._router.adopt(orders)
        self._carry_out(orders)
        self._following = asyncio.create_task(self._follow())
        ships = list(self._ships.values())
        for ship in ships:
            await ship.tried.wait()
        return [ship.status for ship in ships if ship.status is not None]

    async def stop(self, drain_seconds: float) -> None:
        """Follow no more, and stop them all; running calls may take so long."""
        if self._following is not None:
            self._following.cancel()
        ships = list(self._ships.values())
        for ship in ships:
            if ship.retiring is not None:
                ship.retiring.cancel()
        await asyncio.gather(*(ship.stop(drain_seconds) for ship in ships))

    async def _follow(self) -> None:
        while True:
            try:
                orders = await self._router.orders(self._orders.generation, self._orders.version)
                if not orders.known:  # it has restarted, and only we know what it ordered last
                    await self._router.adopt(self._orders)
                    continue
            except ActorGone:
                await self._sleep(PAUSE_SECONDS)
                continue
            self._carry_out(orders)

    def _carry_out(self, orders: Orders) -> None:
        asked, self._orders = self._orders.reload_asked, orders
        self._on_orders(orders)
        for berth in orders.berths:
            ship = self._ships.get(berth.key)
            if ship is None and not berth.retiring:
                ship = self._ships[berth.key] = _Ship(berth)
                ship.starting = asyncio.create_task(self._start_one(ship))
                ship.starting.add_done_callback(ship.no_longer_starting)
            elif ship is None:
                ship = self._ships[berth.key] = _Ship(berth)
                ship.retiring = asyncio.create_task(self._retire(ship))
            elif berth.retiring and ship.retiring is None:
                ship.retiring = asyncio.create_task(self._retire(ship))
        if orders.reload_asked > asked:
            self._on_reload()

    async def _start_one(self, ship: "_Ship") -> None:
        """Try until it has begun; who stops the ship ends that."""
        for attempt in itertools.count():
            async with self._turns:
                trouble = await self._try(ship)
            if not trouble:
                return
            ship.tried.set()
            seconds = BACKOFF.delay(attempt, 0.0)
            self._on_trouble(f"{trouble}; tried again in {seconds:g} s")
            await self._sleep(seconds)

    async def _try(self, ship: "_Ship") -> str:
        """One attempt; why it failed, for a person, or nothing."""
        berth = ship.berth
        try:
            if ship.backend is None:
                ship.backend = self._start(berth)
            ship.status = await ship.backend.begin(berth.settings.start_timeout + ACTOR_SECONDS)
        except ActorGone as gone:
            if gone.for_good and ship.backend is not None:
                ship.backend.end()
                ship.backend = None
            return f"backend {berth.key} has no process yet: {gone}"
        except Exception as error:  # one backend that cannot be started must not end the fleet
            log.exception("backend_not_started", backend=str(berth.key))
            return f"backend {berth.key} was not started: {error}"
        self._on_status(ship.status)
        return ""

    async def _retire(self, ship: "_Ship") -> None:
        if ship.status is not None:  # nobody calls one that has not begun
            await self._sleep(LEAVE_SECONDS)
        await ship.stop(max(self._drain_seconds, ship.berth.settings.timeout))
        if ship.backend is not None:
            ship.backend.end()
        for _ in range(CLEAR_ATTEMPTS):
            try:
                await self._router.clear(ship.berth.key)
                break
            except ActorGone:
                await self._sleep(PAUSE_SECONDS)
        del self._ships[ship.berth.key]


class _Ship:
    """One replica, from its start to its end."""

    def __init__(self, berth: Berth) -> None:
        self.berth = berth
        self.backend: Backends | None = None
        self.status: Status | None = None
        """What it came to at its start."""
        self.tried = asyncio.Event()
        """Whether there was one attempt at least to start it, or there will be none."""
        self.starting: asyncio.Task[None] | None = None
        self.retiring: asyncio.Task[None] | None = None

    def no_longer_starting(self, _: asyncio.Task[None]) -> None:
        """It has begun, or never will."""
        self.tried.set()

    async def stop(self, drain_seconds: float) -> None:
        """Let running calls take so long, then end the server; never raises."""
        if self.starting is not None:
            self.starting.cancel()
            await asyncio.gather(self.starting, return_exceptions=True)
        if self.backend is None:
            return
        try:
            await self.backend.stop(drain_seconds)
        except ActorGone:
            log.debug("backend_gone_already", backend=str(self.berth.key))
