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
from actors.conversation import Connect
from actors.conversations import Conversations
from actors.core.breaker import Breaker
from actors.core.call import Call
from actors.core.conversation_key import ConversationKey
from actors.core.expiring import Expiring
from actors.core.load import Load
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.outcome import Failure, FailureKind
from actors.core.resource_updates import LISTEN
from actors.core.settings import BackendSettings
from actors.refs import ActorGone, RouterRef
from actors.running_calls import RunningCalls
from actors.subscriptions import MAX_SUBSCRIPTIONS, Subscriptions
from actors.supervisor import Supervisor

BEAT_SECONDS: Final = 5.0
"""Between two signs of life to the Router."""

TICKET_SECONDS: Final = 3600.0
"""How long a taken ticket is remembered; the states that tickets come from are worth nothing long before."""

MAX_TICKETS: Final = 16 * 1024
"""Remembered at once; then the oldest goes."""

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
        connect: Connect,
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
        self._tickets: Expiring[bytes, bool] = Expiring(MAX_TICKETS)
        self._stopping = False
        self._sequence = 0
        self._told = asyncio.Event()
        self._beginning = asyncio.Lock()
        self._beats: asyncio.Task[None] | None = None
        self._listener = Listener(
            secret,
            self,
            backend=settings.name,
            # the limits are the Backend's own, with its own words: the bus must not refuse first
            exchange_settings=ExchangeSettings(
                max_running=settings.concurrency_limit + settings.max_parked + MAX_SUBSCRIPTIONS + 1
            ),
        )
        self._supervisor = Supervisor(settings, connect, self._changed, clock=clock, dice=dice)
        self._conversations = Conversations(settings, connect, self._supervisor, dice=dice)
        self._calls = RunningCalls(settings, self._conversations, self._breaker, clock)
        self._subscriptions = Subscriptions(settings.name, self._conversations, clock=clock)

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
        """What rides on every outcome. Who waits for a client's answer is no load."""
        return Load(self._calls.in_flight, self._breaker.state, self._breaker.retry_after(self._clock()) or 0.0)

    async def stop(self, drain_seconds: float) -> None:
        """Take no new calls, let the running ones finish for a while, then end the server."""
        self._stopping = True
        self._changed()
        self._subscriptions.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_seconds):
                await self._calls.drained()
        await asyncio.gather(self._supervisor.stop(), self._conversations.close())
        await self._listener.close()
        if self._beats is not None:
            self._beats.cancel()
        log.info("backend_stopped", backend=str(self._key))

    def opened(self, exchange: Exchange) -> None:
        """Admit a call, or refuse it at once; see `_refusal`. A subscription is no call, and has rungs of its own."""
        call, now = exchange.call, self._clock()
        if call.method == LISTEN and not self._stopping:
            self._subscriptions.opened(exchange)
            return
        key = self._conversations.key_of(call)
        refusal = self._refusal(call, key, now)
        permit = self._breaker.admit(now) if refusal is None else None
        if permit is None:
            retry_after = self._breaker.retry_after(now)
            exchange.finish(refusal or Failure(FailureKind.BREAKER_OPEN, self._settings.name, retry_after=retry_after))
            return
        if call.ticket:
            self._tickets.put(call.ticket, True, until=now + TICKET_SECONDS)
        self._calls.carry(exchange, permit, key)

    def cancelled_origin(self, origin: bytes) -> None:
        """Stop all that is done for one downstream request, or in one downstream session, which is over then."""
        if not origin:
            return
        self._calls.cancelled_origin(origin)
        self._subscriptions.cancelled_origin(origin)
        self._conversations.end_session(origin)

    def _refusal(self, call: Call, key: ConversationKey | None, now: float) -> Failure | None:
        """Why a call is refused before the breaker is asked. Rungs, in order; the first which decides wins.

        1. A backend that stops takes none.
        2. Its conversation with the server is up, or can be opened.
        3. No more than the concurrency limit.
        4. A ticket is taken once.
        5. There is room for its conversation.
        """
        name = self._settings.name
        if self._stopping:
            return Failure(FailureKind.UNAVAILABLE, name, "it is stopping")
        if (absence := self._conversations.absence(key)) is not None:
            return absence
        if self._calls.in_flight >= self._settings.concurrency_limit:
            return Failure(FailureKind.BUSY, name, retry_after=1.0)
        if call.ticket and self._tickets.get(call.ticket, now):
            return Failure(FailureKind.REPLAYED, name)
        return self._conversations.crowding(key)

    def _changed(self) -> None:
        self._subscriptions.learned(self._supervisor.facts)
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
