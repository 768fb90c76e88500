"""A process that holds Backends: one, or many where a process for each would be too dear.

A plain class: `actors.runtime` makes it an actor. The Backends in it know nothing of each other; each has its own
breaker, its own conversation with its server and its own address on the bus.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from actors.backend import Backend
from actors.core.consent import ConsentBegun
from actors.core.membership import ReplicaKey, Status
from actors.core.settings import BackendSettings
from actors.core.tokens.issued import Declined

Holding = tuple[ReplicaKey, BackendSettings, int]
"""A replica, its settings, and its slot in a pool of URLs."""

ASK_SECONDS: Final = 0.3
"""Between two questions for what to hold, to a Router that does not know it."""


class BackendHost:
    """Owns the Backends of one process, by their keys."""

    def __init__(self, make: Callable[[ReplicaKey, BackendSettings, int], Backend]) -> None:
        """`make` gives a new Backend, not begun."""
        self._make = make
        self._held: dict[ReplicaKey, Backend] = {}
        self._stopped: set[ReplicaKey] | None = None

    async def begin(self, key: ReplicaKey, settings: BackendSettings, slot: int = 0) -> Status:
        """Hold a replica, and see `Backend.begin`. Safe to repeat: what is held stays as it is.

        Raises:
            OSError: there is no place for its address on the bus.
        """
        if key not in self._held:
            self._held[key] = self._make(key, settings, slot)
        return await self._held[key].begin()

    async def recover(
        self,
        ask: Callable[[], Awaitable[Sequence[Holding]]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Hold again what a process that is gone has held, as soon as somebody tells: `ask`, or a call of `begin`.

        Raises:
            OSError: one of them could not begin; the others have. Safe to repeat.
        """
        stopped: set[ReplicaKey] = set()
        self._stopped = stopped
        holdings = await ask()
        while not holdings and not self._held:
            await sleep(ASK_SECONDS)
            holdings = await ask()
        self._stopped = None
        begun = [self.begin(*holding) for holding in holdings if holding[0] not in stopped]
        for outcome in await asyncio.gather(*begun, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    def holds(self, key: ReplicaKey) -> bool:
        """Whether this replica is here."""
        return key in self._held

    async def stop(self, key: ReplicaKey, drain_seconds: float) -> None:
        """See `Backend.stop`; then let go of it. Safe to repeat, and nothing to do for one that is not here."""
        if self._stopped is not None:
            self._stopped.add(key)  # what `recover` is told may be older than this
        backend = self._held.get(key)
        if backend is not None:
            await backend.stop(drain_seconds)
            self._held.pop(key, None)

    async def trip(self, key: ReplicaKey) -> None:
        """See `Backend.trip`.

        Raises:
            KeyError: it is not here.
        """
        await self._held[key].trip()

    async def reset(self, key: ReplicaKey) -> None:
        """See `Backend.reset`.

        Raises:
            KeyError: it is not here.
        """
        await self._held[key].reset()

    async def begin_consent(
        self, key: ReplicaKey, principal: str, redirect_uri: str, document_url: str = ""
    ) -> ConsentBegun | Declined:
        """See `Backend.begin_consent`.

        Raises:
            KeyError: it is not here.
        """
        return await self._held[key].begin_consent(principal, redirect_uri, document_url)

    async def finish_consent(self, key: ReplicaKey, principal: str, state: str, code: str, issuer: str) -> str:
        """See `Backend.finish_consent`.

        Raises:
            KeyError: it is not here.
        """
        return await self._held[key].finish_consent(principal, state, code, issuer)

    async def heed_consent(self, key: ReplicaKey, principal: str) -> None:
        """See `Backend.heed_consent`.

        Raises:
            KeyError: it is not here.
        """
        await self._held[key].heed_consent(principal)

    async def drop_consent(self, key: ReplicaKey, principal: str) -> str:
        """See `Backend.drop_consent`.

        Raises:
            KeyError: it is not here.
        """
        return await self._held[key].drop_consent(principal)

    async def has_consent(self, key: ReplicaKey, principal: str) -> bool:
        """See `Backend.has_consent`.

        Raises:
            KeyError: it is not here.
        """
        return await self._held[key].has_consent(principal)
