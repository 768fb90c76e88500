"""One replica of one backend: admits calls through a breaker and sends them to its server.

A plain class: `actors.runtime` makes it an actor, tests use it as it is. Calls arrive on the bus; the methods Ray
sees (`begin`, `status`, `trip`, `reset`, `stop`, those about consents) are the control plane.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from actors.bound_sessions import BoundSessions
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.keychain import Keychain
from actors.bus.listener import Listener
from actors.consent_desk import ConsentDesk
from actors.conversation import Connect, ConnectAs
from actors.conversations import Conversations
from actors.core.breaker import Breaker, State
from actors.core.call import Call
from actors.core.consent import ConsentBegun
from actors.core.conversation_key import ConversationKey
from actors.core.expiring import Expiring
from actors.core.link_refusal import Refused
from actors.core.load import Load
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.outcome import Failure, FailureKind
from actors.core.resource_updates import LISTEN
from actors.core.settings import BackendSettings
from actors.core.tokens.issued import Declined
from actors.credentials.consents import Consents
from actors.heartbeat import BEAT_SECONDS, Heartbeat
from actors.link_key_fetch import fetch_link_keys
from actors.refs.router import RouterRef
from actors.running_calls import RunningCalls
from actors.subscriptions import MAX_SUBSCRIPTIONS, Subscriptions
from actors.supervisor import Supervisor
from actors.upstream.upstream import CallLater
from actors.waiting_calls import WaitingCalls

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
        keys: Keychain,
        addresses: tuple[str, str | None],
        router: RouterRef,
        connect: Connect,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float],
        call_later: CallLater | None = None,
        beat_seconds: float = BEAT_SECONDS,
        weight: float = 1.0,
        zone: str = "",
        connect_as: ConnectAs | None = None,
        consents: Consents | None = None,
    ) -> None:
        """`addresses` are where to accept links on this node, and from other nodes if there can be any.

        `keys` are those of its process; they come with the Router's answers.

        `weight` and `zone` are as in `Status`. Limits of calls go by `call_later`, which is the loop's if not given.
        `connect_as` is as for `Conversations`; `consents` are there where users have credentials of their own.
        """
        self._settings = settings
        self._key = key
        self._epoch = epoch
        self._node = node
        self._weight = weight
        self._zone = zone
        self._addresses = addresses
        self._keys = keys
        self._router = router
        self._clock = clock
        self._breaker = Breaker(settings.breaker, dice)
        self._tickets: Expiring[bytes, bool] = Expiring(MAX_TICKETS)
        self._stopping = False
        self._restarts = 0
        """Of the server that was up last."""
        self._beginning = asyncio.Lock()
        said = self.status, self.load
        self._heart = Heartbeat(router, key, epoch, *said, keys, seconds=beat_seconds, refused=self._refused)
        self._listener = Listener(
            keys,
            self,
            backend=settings.name,
            # the limits are the Backend's own, with its own words: the bus must not refuse first
            exchange_settings=ExchangeSettings(
                max_running=settings.concurrency_limit
                + settings.queue_limit
                + settings.max_parked
                + MAX_SUBSCRIPTIONS
                + 1
            ),
        )
        self._supervisor = Supervisor(settings, connect, self._changed, clock=clock, dice=dice)
        self._conversations = Conversations(settings, connect, self._supervisor, dice=dice, connect_as=connect_as)
        self._waiting = WaitingCalls(settings, self._has_room, self._send, clock)
        self._sessions = BoundSessions()
        self._calls = RunningCalls(
            settings, self._conversations, self._breaker, clock, self._waiting.freed, self._sessions, call_later
        )
        self._subscriptions = Subscriptions(settings.name, self._conversations, clock=clock)
        self._consents = ConsentDesk(consents, self._supervisor, self._conversations)

    def __repr__(self) -> str:
        """The name Ray's dashboard shows."""
        return f"Backend:{self._key}"

    async def begin(self) -> Status:
        """Accept links, start the server, and give the first status once it is up or has failed for the first time.

        Safe to repeat: a second call waits for the same.

        Raises:
            OSError: it has no place to listen; `TimeoutError` if it got no link keys.
        """
        async with self._beginning:
            if not self._heart.begun:
                await fetch_link_keys(self._keys, self._router)
                near, far = self._addresses
                self._addresses = (
                    await self._listener.start(near),
                    await self._listener.start(far) if far is not None else None,
                )
                self._supervisor.begin()
                self._heart.begin()
                self._changed()
        await self._supervisor.settled.wait()
        return self.status()

    def status(self) -> Status:
        """What the Router is told."""
        supervisor = self._supervisor
        state, detail = supervisor.state, supervisor.detail
        if self._stopping:
            state, detail = ReplicaState.DRAINING if self._calls else ReplicaState.DOWN, "stopping"
        return Status(
            key=self._key,
            epoch=self._epoch,
            sequence=self._heart.sequence,
            node=self._node,
            address=self._addresses[0],
            remote_address=self._addresses[1],
            state=state,
            detail=detail,
            restarts=supervisor.restarts,
            facts=supervisor.facts,
            listing=supervisor.listing,
            weight=self._weight,
            zone=self._zone,
        )

    def load(self) -> Load:
        """What rides on every outcome. Who waits for a client's answer is no load."""
        waiting = len(self._waiting)
        retry_after = self._breaker.retry_after(self._clock()) or 0.0
        breaker = self._breaker
        return Load(self._calls.in_flight + waiting, breaker.state, retry_after, waiting, breaker.transitions)

    async def trip(self) -> None:
        """Open the breaker by hand; who waits is refused. Calls under way go on."""
        self._breaker.trip(self._clock())
        self._waiting.refuse(self._breaker_open(self._clock()))
        log.info("breaker_tripped_by_hand", backend=str(self._key))
        self._changed()

    async def reset(self) -> None:
        """Close the breaker by hand."""
        self._breaker.reset(self._clock())
        log.info("breaker_reset_by_hand", backend=str(self._key))
        self._changed()

    async def begin_consent(self, principal: str, redirect_uri: str, document_url: str = "") -> ConsentBegun | Declined:
        """See `ConsentDesk.begin`."""
        return await self._consents.begin(principal, redirect_uri, document_url)

    async def finish_consent(self, principal: str, state: str, code: str, issuer: str) -> str:
        """See `ConsentDesk.finish`."""
        return await self._consents.finish(principal, state, code, issuer)

    async def heed_consent(self, principal: str) -> None:
        """See `ConsentDesk.heed`."""
        self._consents.heed(principal)

    async def drop_consent(self, principal: str) -> str:
        """See `ConsentDesk.drop`."""
        return await self._consents.drop(principal)

    async def has_consent(self, principal: str) -> bool:
        """See `ConsentDesk.has`.

        Raises:
            CredentialError: the Vault does not answer.
        """
        return await self._consents.has(principal)

    async def stop(self, drain_seconds: float) -> None:
        """Take no new calls, let the running ones finish for a while, then end the server.

        Who waits is refused, and may go elsewhere; so is what arrives until every ingress has heard of it, which is
        waited for: otherwise a call could find its link closed, and nobody would know whether it ran. Safe to repeat:
        the shorter time counts.
        """
        self._stopping = True
        self._listener.leave()
        self._waiting.refuse(self._unavailable())
        self._changed()
        self._subscriptions.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_seconds):
                await self._calls.drained()
        await asyncio.gather(self._supervisor.stop(), self._conversations.close(), self._listener.parted())
        await self._listener.close()
        self._heart.end()
        log.info("backend_stopped", backend=str(self._key))

    def opened(self, exchange: Exchange) -> None:
        """Send a call, let it wait for room, or refuse it at once; see `_refusal`.

        A subscription is no call, and has rungs of its own.
        """
        call = exchange.call
        if call.method == LISTEN and not self._stopping:
            self._subscriptions.opened(exchange)
            return
        self._heart.called()
        if not self._waiting and self._has_room():
            self._send(exchange, 0.0)
            return
        refusal = self._refusal(call, self._conversations.key_of(call), now := self._clock())
        if refusal is None and self._breaker.state is State.OPEN and self._breaker.retry_after(now):
            refusal = self._breaker_open(now)  # it would wait for nothing
        if refusal is None:
            self._waiting.enter(exchange)
        else:
            exchange.finish(refusal)

    def cancelled_origin(self, origin: bytes) -> None:
        """Stop all that is done for one downstream request, or in one downstream session, which is over then."""
        if not origin:
            return
        self._waiting.cancelled_origin(origin)
        self._calls.cancelled_origin(origin)
        self._subscriptions.cancelled_origin(origin)
        self._conversations.end_session(origin)
        self._sessions.end(origin)

    def _refused(self) -> Refused:
        return self._listener.refused

    def _has_room(self) -> bool:
        return self._calls.in_flight < self._settings.concurrency_limit

    def _send(self, exchange: Exchange, waited: float) -> None:
        """Send a call for which there is room, or refuse it: much may have happened in the seconds that it waited."""
        call, now = exchange.call, self._clock()
        key = self._conversations.key_of(call)
        refusal = self._refusal(call, key, now)
        permit = self._breaker.admit(now) if refusal is None else None
        if permit is None:
            exchange.finish(refusal or self._breaker_open(now))
            return
        if call.ticket:
            self._tickets.put(call.ticket, True, until=now + TICKET_SECONDS)
        self._calls.carry(exchange, permit, key, waited)

    def _refusal(self, call: Call, key: ConversationKey | None, now: float) -> Failure | None:
        """Why a call is refused before the breaker is asked. Rungs, in order; the first which decides wins.

        1. A backend that stops takes none.
        2. The state that a bound session counts on is there.
        3. Its conversation with the server is up, or can be opened.
        4. A ticket is taken once.
        5. There is room for its conversation.
        """
        if self._stopping:
            return self._unavailable()
        absence = self._conversations.absence(key)
        if not self._sessions.admit(call, self._conversations.server_of(key), absent=absence is not None):
            return Failure(FailureKind.SESSION_LOST, self._settings.name)
        if absence is not None:
            return absence
        if call.ticket and self._tickets.get(call.ticket, now):
            return Failure(FailureKind.REPLAYED, self._settings.name)
        return self._conversations.crowding(key)

    def _breaker_open(self, now: float) -> Failure:
        retry_after = self._breaker.retry_after(now)
        return Failure(FailureKind.BREAKER_OPEN, self._settings.name, retry_after=retry_after)

    def _unavailable(self) -> Failure:
        return Failure(FailureKind.UNAVAILABLE, self._settings.name, "it is stopping")

    def _changed(self) -> None:
        if self._supervisor.restarts != self._restarts and self._supervisor.state is ReplicaState.UP:
            self._restarts = self._supervisor.restarts
            self._breaker.renew(self._clock())
        self._subscriptions.learned(self._supervisor.facts)
        self._heart.changed()
