"""The calls of one replica that are not over: those that run, and those that wait for a client's answer."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from actors.bound_sessions import BoundSessions
from actors.bus.exchange import Exchange
from actors.conversations import Claim, Conversations
from actors.core.breaker import Breaker, Permit
from actors.core.call import Call
from actors.core.conversation_key import ConversationKey
from actors.core.settings import BackendSettings
from actors.core.time_limit import time_limit
from actors.running_call import RunningCall
from actors.upstream.upstream import CallLater


class RunningCalls:
    """Sends each call into its conversation and keeps it until it is over.

    `clock` is monotonic and in seconds; `freed` is called whenever there may be less in flight than before.
    `call_later` is the loop's, if it is not given.
    """

    def __init__(
        self,
        settings: BackendSettings,
        conversations: Conversations,
        breaker: Breaker,
        clock: Callable[[], float],
        freed: Callable[[], None],
        sessions: BoundSessions,
        call_later: CallLater | None = None,
    ) -> None:
        self._settings = settings
        self._conversations = conversations
        self._breaker = breaker
        self._clock = clock
        self._freed = freed
        self._sessions = sessions
        self._call_later = call_later
        self._calls: dict[bytes, _Carried] = {}
        self._any_parked = False
        self._none: Final = asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        """All of them, those that wait for a client, too."""
        return len(self._calls)

    @property
    def in_flight(self) -> int:
        """How many the server is at work on: who waits for a client is no load."""
        return len(self._calls) - self._parked()

    def carry(self, exchange: Exchange, permit: Permit, key: ConversationKey | None, waited: float = 0.0) -> None:
        """Send a call that was admitted into the conversation of a key, for which there is room.

        `waited` is how many seconds of its time are gone.
        """
        settings, call = self._settings, exchange.call
        limit = time_limit(settings, call.method, call.name)
        running = RunningCall(
            exchange,
            settings.name,
            self._finished,
            self._breaker,
            permit,
            self._clock,
            park_seconds=settings.park_seconds,
            may_park=self._may_park,
            anew=limit if settings.reset_on_progress else None,
            most=settings.max_timeout,
            call_later=self._call_later,
        )
        claim = self._conversations.claim(key)
        self._calls[exchange.id] = _Carried(running, call, key, claim)
        self._sessions.note(call, self._conversations.server_of(key))
        self._none.clear()
        claim.host.carry(running, min(call.time_left - waited, limit))

    def cancelled_origin(self, origin: bytes) -> None:
        """Stop those made for one downstream request, or in one downstream session."""
        for carried in list(self._calls.values()):
            if origin in (carried.call.origin, carried.call.session):
                carried.running.cancel("the client cancelled the request")

    async def drained(self) -> None:
        """Wait until there are none."""
        await self._none.wait()

    def _finished(self, running: RunningCall) -> None:
        _, call, key, claim = self._calls.pop(running.id)
        if running.ran:  # perhaps in a conversation that was not open when the call came
            self._sessions.note(call, self._conversations.server_of(key))
        claim.host.drop(running)
        claim.release()
        if not self._calls:
            self._none.set()
        self._freed()

    def _parked(self) -> int:
        if not self._any_parked:
            return 0  # as nearly always, and this is asked with every call
        parked = sum(carried.running.parked for carried in self._calls.values())
        self._any_parked = parked > 0
        return parked

    def _may_park(self) -> bool:
        if self._parked() >= self._settings.max_parked:
            return False
        self._any_parked = True
        self._freed()
        return True


class _Carried(NamedTuple):
    """A call, and the conversation it runs in."""

    running: RunningCall
    call: Call
    key: ConversationKey | None
    claim: Claim
