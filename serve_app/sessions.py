"""What an ingress replica knows of downstream sessions. The Router owns them; here is a copy that outlives it.

Requests do not wait for the Router, but for the first one of a session that this replica has not heard of. While the
Router is away, sessions are opened and changed here, and it is told later. An id is verified before anybody comes
here, so a session of which nobody knows anything may be assumed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import structlog

from actors.core.binding import Binding
from actors.core.expiring import Expiring
from actors.core.session_book import Opening
from actors.core.session_end import End
from actors.core.session_state import (
    Bind,
    Change,
    Complete,
    Found,
    Lose,
    SessionState,
    SetLevel,
    Subscribe,
    Unsubscribe,
    changed,
    opened,
)
from actors.core.tokens.revocations import Credential, Revocations
from actors.refs.gone import ActorGone
from actors.refs.router import RouterRef
from serve_app.session_copy import MAX_STATES, OnChange, SessionCopy
from serve_app.session_lookup import SessionLookup

PAUSE_SECONDS: Final = 0.5
"""Between two attempts to reach a Router that is not there."""

ROUTER_SECONDS: Final = 2.0
"""How long a client waits for the Router."""

TOUCH_SECONDS: Final = 10.0
"""Between two reports of the sessions in use; less where sessions end soon."""

UNKNOWN_SECONDS: Final = 5.0
"""How long it is remembered that the Router does not know a session."""

CHUNK: Final = 1000
"""Sessions in one call to the Router."""

T = TypeVar("T")

log = structlog.get_logger()


class Sessions:
    """Follows the Router's sessions, and asks it for what is not known. All methods belong to one event loop.

    Sessions go by their nonces; whoever calls has verified the id. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        find_router: Callable[[], RouterRef],
        on_change: OnChange,
        *,
        idle_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        time_limit: float = ROUTER_SECONDS,
        max_states: int = MAX_STATES,
    ) -> None:
        """`idle_seconds` is how long the Router keeps a session that nobody uses."""
        self._find_router = find_router
        self._clock = clock
        self._time_limit = time_limit
        self._touch_seconds = min(TOUCH_SECONDS, idle_seconds / 4)
        self._copy = SessionCopy(on_change, max_states)
        self._lookup = SessionLookup(self._ask_about, time_limit)
        self._unknown: Expiring[bytes, bool] = Expiring(max_states)
        self._touched: set[bytes] = set()
        self._generation = ""
        self._version = 0
        self._reachable = True

    async def open(
        self,
        nonce: bytes,
        owner: str,
        client_info: bytes = b"",
        most: int | None = None,
        credential: Credential | None = None,
    ) -> Opening:
        """Open a session, unless there are too many; `most` as for `SessionBook.open`."""
        state = opened(nonce, owner, client_info, credential)
        try:
            opening = await self._reach(lambda router: router.open_session(state, most))
        except ActorGone:
            self._copy.adopt(state, told=False)
            return Opening.OPENED
        if opening:
            self._copy.adopt(state)
        return opening

    async def find(self, nonce: bytes, owner: str) -> SessionState | None:
        """A session, or nothing if it has ended. Rungs, in order:

        1. What is known here.
        2. What the Router says, asked once for all who want to know.
        3. Where nobody can be asked, one without a history is assumed: no session ends because the Router is away.
        """
        state = self._copy.get(nonce)
        if state is not None:
            return state
        if self._copy.has_ended(nonce) or self._unknown.get(nonce, self._clock()):
            return None
        assumed = SessionState(nonce, owner)
        found = await self._lookup.find(assumed)
        if found.ended:
            self._unknown.put(nonce, True, until=self._clock() + UNKNOWN_SECONDS)
            return None
        for state in found.states:
            self._copy.adopt(state)
        if not found.states:
            self._copy.adopt(assumed, told=False)
        return self._copy.get(nonce)

    def known(self, nonce: bytes) -> SessionState | None:
        """A session that this replica has heard of."""
        return self._copy.get(nonce)

    def touch(self, nonce: bytes, credential: Credential | None = None) -> None:
        """Note that a session is in use; it costs nothing. Whoever keeps a stream open does it now and then.

        `credential` is what it is used with, if that is at hand.
        """
        if nonce in self._copy:
            self._touched.add(nonce)
            if credential is not None:
                self._copy.use(nonce, credential)

    def revoke(self, revocations: Revocations) -> list[bytes]:
        """End the sessions of what is revoked, here at once; gives their nonces. The Router hears of it by `tell`."""
        over = self._copy.revoked(revocations)
        for nonce in over:
            self._copy.end(nonce, self._clock(), End.REVOKED)
        return over

    async def tell(self) -> None:
        """Tell the Router what it does not know yet; if it is away, it hears later."""
        with suppress(ActorGone):
            await self._tell()

    async def end(self, nonce: bytes, why: End = End.CLIENT) -> None:
        """End a session: here at once, and elsewhere as soon as the Router has heard."""
        self._copy.end(nonce, self._clock(), why)
        with suppress(ActorGone):
            await self._tell_some((), (nonce,))

    async def set_level(self, nonce: bytes, level: str) -> bool:
        """Set the least level of log messages that the client wants; false if the session has ended."""
        state, _ = await self._change(nonce, SetLevel(level))
        return state is not None

    async def subscribe(self, nonce: bytes, uri: str) -> bool:
        """Note that the client wants to know of changes; false if it has too many, or the session has ended."""
        state, _ = await self._change(nonce, Subscribe(uri))
        return state is not None and uri in state.subscriptions

    async def unsubscribe(self, nonce: bytes, uri: str) -> bool:
        """Take that back; false if the session has ended."""
        state, _ = await self._change(nonce, Unsubscribe(uri))
        return state is not None

    async def bind(self, nonce: bytes, binding: Binding) -> SessionState | None:
        """Bind a session to a replica, unless somebody was faster; nothing if it has ended."""
        state, _ = await self._change(nonce, Bind(binding))
        return state

    async def complete(self, nonce: bytes, owner: str, elicitation: str) -> None:
        """Note that the user of a session is done with the page of an elicitation: whoever has its stream tells it."""
        if await self.find(nonce, owner) is not None:
            await self._change(nonce, Complete(elicitation))

    async def lose(self, nonce: bytes, lose: Lose) -> tuple[SessionState | None, float | None]:
        """Note that the replica of a binding is gone, if the Router agrees; nothing if the session has ended.

        The second is `Found.lost_for`; without the Router, whoever says it is the first.
        """
        return await self._change(nonce, lose)

    async def follow(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Follow the Router for ever."""
        while True:
            try:
                await self.read_news()
            except Exception as error:  # noqa: BLE001 - a replica that follows no more would miss every end
                if self._reachable:
                    log.warning("sessions_not_followed", reason=repr(error))
                self._reachable = False
                await sleep(PAUSE_SECONDS)

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Report for ever which sessions are in use."""
        while True:
            await sleep(self._touch_seconds)
            await self.report()

    async def read_news(self) -> None:
        """Wait for news and go by them, and tell the Router what it does not know.

        Raises:
            ActorGone: it is not there, or went before all was said; then the same news will come again.
        """
        news = await self._find_router().session_news(self._generation, self._version)
        if not self._reachable:
            log.info("sessions_followed")
        self._reachable = True
        if news.generation != self._generation:
            self._copy.untell()  # a Router that has just started knows nothing of what was
            self._generation, self._version = news.generation, 0
        self._go_by(Found(news.states, news.ended))
        await self._tell()
        if news.reset:
            held = self._copy.states()
            for start in range(0, len(held), CHUNK):
                self._go_by(await self._ask_about(held[start : start + CHUNK]))
        self._version = news.version

    async def report(self) -> None:
        """Tell the Router which sessions were in use; if it is away, next time."""
        self._copy.forget_old(self._clock())
        touched, self._touched = self._touched, set()
        try:
            if touched:
                await self._reach(lambda router: router.touch_sessions(tuple(touched)))
            await self._tell()
        except ActorGone:
            self._touched |= {nonce for nonce in touched if nonce in self._copy}

    async def close(self) -> None:
        """The replica ends: have the Router know what it could not be told yet. It waits no longer than a client."""
        self._reachable = True  # whatever was last heard of it, there is no other time to ask
        await self.report()

    async def _change(self, nonce: bytes, change: Change) -> tuple[SessionState | None, float | None]:
        """The session after a change, or nothing if it has ended, and `Found.lost_for`. Without the Router it is
        changed here."""
        known = self._copy.get(nonce)
        if known is None:
            return None, None
        found = Found()
        try:
            if self._copy.is_untold(nonce):
                await self._tell()
            found = await self._reach(lambda router: router.change_session(known, change))
            self._go_by(found)
        except ActorGone:
            latest = self._copy.get(nonce)
            if latest is not None:
                self._copy.adopt(changed(latest, change), told=False)
        return self._copy.get(nonce), found.lost_for

    async def _tell(self) -> None:
        while any(untold := self._copy.untold(CHUNK)):
            await self._tell_some(*untold)

    async def _tell_some(self, states: tuple[SessionState, ...], ended: tuple[bytes, ...]) -> None:
        reasons = self._copy.reasons(ended)
        await self._reach(lambda router: router.tell_sessions(states, ended, reasons))
        self._copy.note_told(states, ended)

    async def _ask_about(self, asked: Sequence[SessionState]) -> Found:
        return await self._reach(lambda router: router.find_sessions(asked))

    async def _reach(self, ask: Callable[[RouterRef], Awaitable[T]]) -> T:
        """Ask the Router something, within the limit.

        Raises:
            ActorGone: there was no answer, for whatever reason.
        """
        if not self._reachable:
            raise ActorGone("Router")
        try:
            async with asyncio.timeout(self._time_limit):
                return await ask(self._find_router())
        except Exception as error:  # whatever is wrong with the Router, clients are not to suffer from it
            raise ActorGone(type(error).__name__) from error

    def _go_by(self, found: Found) -> None:
        for nonce in found.ended:
            self._copy.end(nonce, self._clock())
        for state in found.states:
            self._copy.adopt(state)
