"""A modern client says that its user goes to the page of `invited.py`, and calls again: the call waits for the user.

It is called again at once, while the user still reads (2026-07-28, client/elicitation, URL Mode Flow: "It may need to
block"); asked the same over and over, clients would give up.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from actors.core.request import Request
from actors.core.routing import Rejection
from actors.refs.gone import ActorGone
from serve_app.denial import Denial
from serve_app.downstream.bridge import is_accepted
from serve_app.downstream.invited import KEY
from serve_app.downstream.visit import Visit

HasConsent = Callable[[str, str], Awaitable[bool]]
"""Whether the principal of a key is connected to a backend; raises `ActorGone` if nobody says."""

LOOK_SECONDS: Final = 1.0
"""Between two looks whether the user is done: each is a question to the backend."""

MAX_WAITING: Final = 128
"""Calls that wait at one ingress replica; one more is answered as if it did not wait."""

MAX_WAITING_EACH: Final = 4
"""The same for each principal."""


class Comeback:
    """Of one ingress replica."""

    def __init__(
        self,
        has_consent: HasConsent,
        keep_alive_seconds: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._has_consent = has_consent
        self._keep_alive_seconds = keep_alive_seconds
        self._sleep = sleep
        self._waiting: Counter[str] = Counter()

    async def wait(self, visit: Visit, request: Request) -> Denial | None:
        """Wait until the user is connected, or has taken too long; a denial if the client is not welcome any more."""
        route = visit.offer.route(request.method, request.params, request.client.era)
        backend = None if isinstance(route, Rejection) else visit.offer.view.backends.get(route.owned.backend)
        if backend is None or not backend.personal or not is_accepted(request.params, KEY):
            return None
        principal = request.client.principal
        if self._waiting[principal] >= MAX_WAITING_EACH or self._waiting.total() >= MAX_WAITING:
            return None
        self._waiting[principal] += 1
        try:
            await self._look(visit, principal, backend.name, backend.park_seconds)
        finally:
            self._waiting -= Counter((principal,))
        found = None if visit.check is None else await visit.check()
        return found if isinstance(found, Denial) else None

    async def _look(self, visit: Visit, principal: str, backend: str, seconds: float) -> None:
        silent = 0.0
        for _ in range(int(seconds / LOOK_SECONDS)):
            if await self._is_connected(principal, backend):
                return
            await self._sleep(LOOK_SECONDS)
            silent += LOOK_SECONDS
            if silent >= self._keep_alive_seconds:
                silent = 0.0
                await visit.responder.keep_alive()

    async def _is_connected(self, principal: str, backend: str) -> bool:
        try:
            return await self._has_consent(principal, backend)
        except ActorGone:
            return False
