"""A Router of which only the sessions and the limits are there: it can be away, hang, and restart with nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from actors.core.limits.report import LimitReport, LimitShares
from actors.core.session_book import NO_REASONS, Opening, SessionBook
from actors.core.session_end import End
from actors.core.session_state import Change, Found, SessionNews, SessionState
from actors.refs.gone import ActorGone
from actors.refs.router import RouterRef
from actors.router import GATHER_SECONDS
from actors.session_desk import SessionDesk
from actors.share_desk import ShareDesk
from tests.support.hand_clock import HandClock

IDLE_SECONDS = 1800.0


class SessionRouter:
    """Stands where a `RouterRef` would."""

    def __init__(
        self, clock: HandClock, *, max_sessions: int = 100, max_changes: int = 100, watch_seconds: float = 0.0
    ) -> None:
        self.clock = clock
        self.away = False
        self.hangs = False
        """Whether it answers nothing but news."""
        self.calls: list[str] = []
        """The name of every call but those for news."""
        self.living: set[str] = set()
        """The lives of replicas that it knows to live."""
        self.generation = 0
        self.shares = ShareDesk(clock)
        self.book: SessionBook
        self.desk: SessionDesk
        self._max_sessions = max_sessions
        self._max_changes = max_changes
        self._watch_seconds = watch_seconds
        self.restart()

    def restart(self, *, gathers: bool = True) -> None:
        """Begin another life, which may be past its gathering at once."""
        self.generation += 1
        self.book = SessionBook(
            idle_seconds=IDLE_SECONDS, max_sessions=self._max_sessions, max_changes=self._max_changes
        )
        self.desk = SessionDesk(
            str(self.generation),
            self.book,
            gather_seconds=GATHER_SECONDS if gathers else 0.0,
            watch_seconds=self._watch_seconds,
            clock=self.clock,
            stands=lambda binding: binding.epoch in self.living,
        )

    def find(self) -> RouterRef:
        if self.away:
            raise ActorGone("Router")
        return self  # type: ignore[return-value]

    async def open_session(self, state: SessionState, most: int | None = None) -> Opening:
        await self._reached("open")
        return self.desk.open(state, most)

    async def share_limits(self, report: LimitReport) -> LimitShares:
        await self._reached("share")
        return self.shares.share(report)

    async def find_sessions(self, asked: Sequence[SessionState]) -> Found:
        await self._reached("find")
        return self.desk.find(asked)

    async def change_session(self, asked: SessionState, change: Change) -> Found:
        await self._reached("change")
        return self.desk.change(asked, change)

    async def touch_sessions(self, nonces: Sequence[bytes]) -> None:
        await self._reached("touch")
        self.desk.touch(nonces)

    async def tell_sessions(
        self, states: Sequence[SessionState], ended: Sequence[bytes], reasons: Mapping[bytes, End] = NO_REASONS
    ) -> None:
        await self._reached("tell")
        self.desk.tell(states, ended, reasons)

    async def session_news(self, generation: str, after: int) -> SessionNews:
        return await self.desk.news(generation, after)

    async def _reached(self, name: str) -> None:
        self.calls.append(name)
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(0)  # as Ray would: others run between a question and its answer


class Heard:
    """What a replica was told to have changed."""

    def __init__(self) -> None:
        self.changes: list[tuple[bytes, Any]] = []

    def __call__(self, nonce: bytes, state: SessionState | None) -> None:
        self.changes.append((nonce, state))

    @property
    def ended(self) -> list[bytes]:
        return [nonce for nonce, state in self.changes if state is None]
