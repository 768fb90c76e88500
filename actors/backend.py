"""One replica of one backend: admits calls through a breaker and sends them to its server.

A plain class: `actors.runtime` makes it an actor, tests use it as it is. Calls arrive on the bus; the methods Ray
sees (`begin`, `status`, `stop`) are the control plane.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.listener import Listener
from actors.core.breaker import Breaker
from actors.core.load import Load
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.outcome import Failure, FailureKind
from actors.core.settings import BackendSettings
from actors.refs import ActorGone, RouterRef
from actors.running_call import RunningCall
from actors.supervisor import Supervisor
from actors.transports.transport import Transport

BEAT_SECONDS: Final = 5.0
"""Between two signs of life to the Router."""

log = structlog.get_logger()


class Backend:
    """Owns the conversation with one server, and every exchange with it."""

    def __init__(
        self,
        settings: BackendSettings,
        key: ReplicaKey,
        *,
        epoch: str,
        node: str,
        secret: bytes,
        addresses: tuple[str, str | None],
        router: RouterRef,
        connect: Callable[[BackendSettings], Transport],
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float],
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        """`addresses` are where to accept links on this node, and from other nodes if there can be any."""
        self._settings = settings
        self._key = key
        self._epoch = epoch
        self._node = node
        self._addresses = addresses
        self._router = router
        self._clock = clock
        self._beat_seconds = beat_seconds
        self._breaker = Breaker(settings.breaker)
        self._calls: dict[bytes, RunningCall] = {}
        self._idle = asyncio.Event()
        self._stopping = False
        self._sequence = 0
        self._told = asyncio.Event()
        self._beginning = asyncio.Lock()
        self._beats: asyncio.Task[None] | None = None
        self._listener = Listener(
            secret,
            self,
            backend=settings.name,
            # the limit on calls is the Backend's own, with its own words: the bus must not refuse first
            exchange_settings=ExchangeSettings(max_running=settings.concurrency_limit + 1),
        )
        self._supervisor = Supervisor(settings, connect, self._changed, clock=clock, dice=dice)

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return f"Backend:{self._key}"

    async def begin(self) -> Status:
        """Accept links, start the server, and give the first status once it is up or has failed for the first time.

        Safe to repeat: a second call waits for the same.
        """
        async with self._beginning:
            if self._beats is None:
                near, far = self._addresses
                self._addresses = (
                    await self._listener.start(near),
                    await self._listener.start(far) if far is not None else None,
                )
                self._supervisor.begin()
                self._beats = asyncio.get_running_loop().create_task(self._beat())
                self._changed()
        await self._supervisor.settled.wait()
        return self.status()

    def status(self) -> Status:
        """What the Router is told."""
        supervisor = self._supervisor
        return Status(
            key=self._key,
            epoch=self._epoch,
            sequence=self._sequence,
            node=self._node,
            address=self._addresses[0],
            remote_address=self._addresses[1],
            state=ReplicaState.DOWN if self._stopping else supervisor.state,
            detail="stopping" if self._stopping else supervisor.detail,
            restarts=supervisor.restarts,
            facts=supervisor.facts,
            listing=supervisor.listing,
        )

    def load(self) -> Load:
        """What rides on every outcome."""
        return Load(len(self._calls), self._breaker.state, self._breaker.retry_after(self._clock()) or 0.0)

    async def stop(self, drain_seconds: float) -> None:
        """Take no new calls, let the running ones finish for a while, then end the server."""
        self._stopping = True
        self._changed()
        if self._calls:
            with suppress(TimeoutError):
                async with asyncio.timeout(drain_seconds):
                    await self._idle.wait()
        await self._supervisor.stop()
        await self._listener.close()
        if self._beats is not None:
            self._beats.cancel()
        log.info("backend_stopped", backend=str(self._key))

    def opened(self, exchange: Exchange) -> None:
        """Admit a call, or refuse it at once. Rungs, in order:

        1. A backend that stops or is down takes none.
        2. No more than the concurrency limit.
        3. Not while the breaker refuses.
        """
        name = self._settings.name
        upstream = self._supervisor.upstream
        if self._stopping or upstream is None:
            detail = "it is stopping" if self._stopping else self._supervisor.detail
            exchange.finish(Failure(FailureKind.UNAVAILABLE, name, detail, self._supervisor.retry_after()))
            return
        if len(self._calls) >= self._settings.concurrency_limit:
            exchange.finish(Failure(FailureKind.BUSY, name, retry_after=1.0))
            return
        now = self._clock()
        permit = self._breaker.admit(now)
        if permit is None:
            exchange.finish(Failure(FailureKind.BREAKER_OPEN, name, retry_after=self._breaker.retry_after(now)))
            return
        limit = min(exchange.call.time_left, self._settings.timeout)
        call = RunningCall(exchange, name, self._finished, self._breaker, permit, self._clock)
        self._calls[exchange.id] = call
        call.start(upstream, limit)

    def cancelled_origin(self, origin: bytes) -> None:
        """Stop every call made for one downstream request."""
        for call in [call for call in self._calls.values() if call.origin == origin]:
            call.cancel("the client cancelled the request")

    def _finished(self, call: RunningCall) -> None:
        self._calls.pop(call.id, None)
        if self._stopping and not self._calls:
            self._idle.set()

    def _changed(self) -> None:
        self._sequence += 1
        self._told.set()

    async def _beat(self) -> None:
        """Tell the Router of every change at once, and every few seconds that we live."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._beat_seconds):
                    await self._told.wait()
            changed = self._told.is_set()
            self._told.clear()
            try:
                if changed or not await self._router.beat(self._key, self._epoch, self._sequence, self.load()):
                    await self._router.report(self.status())
            except ActorGone:
                # the Router restarts by itself, and asks for what it does not know at the next beat
                if changed:
                    asyncio.get_running_loop().call_later(self._beat_seconds / 5, self._told.set)
