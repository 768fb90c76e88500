"""The Router's desk for downstream sessions: keeps the book of them, and lets ingress replicas follow it."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
import structlog

from actors.core.binding import Binding, binding_at
from actors.core.expiring import Expiring
from actors.core.session_book import NO_REASONS, Opening, SessionBook
from actors.core.session_end import End
from actors.core.session_state import Change, Found, Lose, SessionNews, SessionState
from actors.core.tokens.revocations import Revocations
from actors.followers import Followers

QUIET_SECONDS: Final = 0.02
"""Changes that come together are told together."""

LOSS_SECONDS: Final = 60.0
"""How long it is remembered when a binding was lost: by then every ingress replica has heard of it."""

MAX_LOSSES: Final = 50_000
"""Remembered at once."""

log = structlog.get_logger()


class SessionDesk:
    """Belongs to one event loop. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        generation: str,
        book: SessionBook,
        *,
        gather_seconds: float,
        watch_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        stands: Callable[[Binding], bool] = lambda _: False,
    ) -> None:
        """`gather_seconds` is how long ingress replicas have, at the start, to tell the sessions they know.

        `stands` says whether the replica of a binding is known to live: then nobody loses it, whoever misses it. An
        ingress replica may hear of a new binding before it hears of the replica.
        """
        self._generation = generation
        self._book = book
        self._clock = clock
        self._stands = stands
        self._certain_at = clock() + gather_seconds
        self._losses: Expiring[tuple[bytes, Binding], float] = Expiring(MAX_LOSSES)
        """When each binding was lost."""
        self._revocations = Revocations()
        self._told = 0
        """The version that followers were woken for."""
        self._followers = Followers(watch_seconds)
        self._waking: asyncio.TimerHandle | None = None

    def be_certain(self) -> None:
        """Nobody is there who could tell of sessions: one that is not known now is none."""
        self._certain_at = self._clock()

    def open(self, state: SessionState, most: int | None = None) -> Opening:
        """See `SessionBook.open`."""
        opening = self._book.open(state, self._clock(), most)
        self._turn_out((state.nonce,))
        self._wake_soon()
        return opening

    def find(self, asked: Iterable[SessionState]) -> Found:
        """What became of sessions that somebody takes to be like this, having verified their ids.

        Until all could tell what they know, one that is not known here is believed to live.
        """
        found = {state.nonce: self._recall(state) for state in asked}
        self._wake_soon()
        return Found(
            tuple(state for state in found.values() if state is not None),
            tuple(nonce for nonce, state in found.items() if state is None),
        )

    def change(self, asked: SessionState, change: Change) -> Found:
        """Find a session, and change it if it lives; but see `stands`."""
        self._recall(asked)
        lost_for = None
        if isinstance(change, Lose):
            lost_for = self._lose(asked.nonce, change)
        else:
            self._book.change(asked.nonce, change)
        return msgspec.structs.replace(self.find([asked]), lost_for=lost_for)

    def touch(self, nonces: Iterable[bytes]) -> None:
        """Note that these are in use."""
        self._book.touch(nonces, self._clock())

    def tell(
        self, states: Iterable[SessionState], ended: Iterable[bytes], reasons: Mapping[bytes, End] = NO_REASONS
    ) -> None:
        """See `SessionBook.tell`."""
        told = tuple(states)
        self._book.tell(told, ended, self._clock(), reasons)
        self._turn_out(state.nonce for state in told)
        self._wake_soon()

    def revoke(self, revocations: Revocations) -> None:
        """End the sessions of what is revoked now, and from now on of those that are still told."""
        if revocations.mark != self._revocations.mark:
            self._revocations = revocations
            self._turn_out(None)
            self._wake_soon()

    async def news(self, generation: str, after: int) -> SessionNews:
        """What happened since that version of that generation, as soon as there is anything, or nothing after a while.

        Whoever followed another generation hears at once of this one, from its beginning.
        """
        if generation != self._generation:
            return self._book.news(self._generation, 0)
        await self._followers.wait_while(lambda: after == self._book.version)
        return self._book.news(generation, after)

    def look_round(self) -> None:
        """End what nobody used for too long."""
        ended = self._book.expire(self._clock())
        if ended:
            log.debug("sessions_expired", ended=ended, left=len(self._book))
        self._wake_soon()

    def _lose(self, nonce: bytes, change: Lose) -> float | None:
        """Lose a binding, if it is to be lost; if another came before, how many seconds ago."""
        state, lost, now = self._book.find(nonce), change.binding, self._clock()
        if state is None or binding_at(state.bindings, lost.backend) != lost:
            lost_at = self._losses.get((nonce, lost), now)
            return math.inf if lost_at is None else now - lost_at
        if change.certain or not self._stands(lost):
            self._losses.put((nonce, lost), now, until=now + LOSS_SECONDS)
            self._book.change(nonce, change)
        return None

    def _turn_out(self, among: Iterable[bytes] | None) -> None:
        """See `SessionBook.revoke`; who opened one of them may have been let in just before the revocation."""
        ended = self._book.revoke(self._revocations, self._clock(), among) if self._revocations.entries else 0
        if ended:
            log.info("sessions_revoked", ended=ended, left=len(self._book))

    def _recall(self, asked: SessionState) -> SessionState | None:
        now = self._clock()
        if now < self._certain_at and self._book.find(asked.nonce) is None:
            self._book.tell((asked,), (), now)
            self._turn_out((asked.nonce,))
        return self._book.find(asked.nonce)

    def _wake_soon(self) -> None:
        if self._waking is None and self._told != self._book.version:
            self._waking = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._wake)

    def _wake(self) -> None:
        self._waking = None
        self._told = self._book.version
        self._followers.wake()
