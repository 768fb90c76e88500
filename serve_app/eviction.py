"""What an ingress replica does as soon as credentials are revoked: connections end that are open, and sessions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from actors.core.tokens.revocations import Revocations
from serve_app.downstream.standing import Standings
from serve_app.sessions import Sessions

PAUSE_SECONDS: Final = 0.25
"""Between two rounds, each of which looks at everything: many revocations at once must not take all the time."""


class Eviction:
    """Belongs to one event loop. `cancel` ends what the servers do and keep for a session."""

    def __init__(
        self,
        standings: Standings,
        sessions: Sessions,
        cancel: Callable[[bytes], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._standings = standings
        self._sessions = sessions
        self._cancel = cancel
        self._sleep = sleep
        self._revocations = Revocations()
        self._round: asyncio.Task[None] | None = None

    def heed(self, revocations: Revocations) -> None:
        """Go by what is revoked now."""
        if revocations.mark == self._revocations.mark:
            return
        self._revocations = revocations
        if self._round is None:
            self._round = asyncio.get_running_loop().create_task(self._go_rounds())

    async def _go_rounds(self) -> None:
        known = ""
        try:
            while known != self._revocations.mark:
                known = self._revocations.mark
                self._standings.revoke(self._revocations)
                for nonce in self._sessions.revoke(self._revocations):
                    self._cancel(nonce)
                await self._sessions.tell()
                await self._sleep(PAUSE_SECONDS)
        finally:
            self._round = None
