"""Asks the Router about single sessions: one question at a time, for everything that is wanted meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from actors.core.session_state import Found, SessionState
from actors.refs.gone import ActorGone

MAX_ASKED: Final = 1000
"""Sessions in one question."""

MAX_WANTED: Final = 10_000
"""Sessions wanted at once; of any more nothing is found."""

NOTHING: Final = Found()


class SessionLookup:
    """Joins those who want the same session, and asks about many at once. Belongs to one event loop.

    `ask` raises `ActorGone` within a limit if the Router cannot be asked.
    """

    def __init__(self, ask: Callable[[Sequence[SessionState]], Awaitable[Found]], time_limit: float) -> None:
        """`time_limit` is how many seconds anyone waits, the turns of others included."""
        self._ask = ask
        self._time_limit = time_limit
        self._wanted: dict[bytes, tuple[SessionState, asyncio.Future[Found]]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def find(self, assumed: SessionState) -> Found:
        """What became of one session, or nothing if nobody can be asked."""
        if assumed.nonce not in self._wanted:
            if len(self._wanted) >= MAX_WANTED:
                return NOTHING
            self._wanted[assumed.nonce] = assumed, asyncio.get_running_loop().create_future()
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        _, answer = self._wanted[assumed.nonce]
        await asyncio.wait({answer}, timeout=self._time_limit)
        return answer.result() if answer.done() else NOTHING

    async def _ask_all(self) -> None:
        try:
            while self._wanted:
                await self._ask_some([assumed for assumed, _ in self._wanted.values()][:MAX_ASKED])
        finally:
            self._asking = None

    async def _ask_some(self, asked: Sequence[SessionState]) -> None:
        try:
            found = await self._ask(asked)
        except ActorGone:
            found = NOTHING
        states = {state.nonce: state for state in found.states}
        ended = set(found.ended)
        for nonce in [assumed.nonce for assumed in asked]:
            _, answer = self._wanted.pop(nonce)
            if nonce in states:
                answer.set_result(Found((states[nonce],)))
            else:
                answer.set_result(Found((), (nonce,)) if nonce in ended else NOTHING)
