"""What an ingress replica knows of the gateway: the last View, and the offers rendered from it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from actors.core.offer import Offer
from actors.core.policy.stance import Stance
from actors.core.view import View
from actors.reachability import Reachability
from actors.refs.router import RouterRef

PAUSE_SECONDS: Final = 0.5
"""Between two attempts to reach a Router that is not there."""

MAX_OFFERS: Final = 4096
"""Rendered at once: endpoints times the stances that callers really have."""


class Outlook:
    """Follows the Router, and goes on with what it last said when the Router is gone."""

    def __init__(self, find_router: Callable[[], RouterRef], on_view: Callable[[View], None]) -> None:
        self._find_router = find_router
        self._on_view = on_view
        self._offers: dict[tuple[str | None, Stance | None], Offer] = {}
        self._first = asyncio.Event()
        self.view = View()
        self.listeners: list[Callable[[], None]] = []
        """Called after each new View."""

    def offer(self, backend: str | None, stance: Stance | None = None) -> Offer | None:
        """The offer of the aggregate, or of one backend if there is one of that name, for callers of a stance."""
        offer = self._offers.get((backend, stance))
        if offer is None:
            if backend is not None and backend not in self.view.backends:
                return None
            if len(self._offers) >= MAX_OFFERS:
                self._offers.clear()
            offer = self._offers[backend, stance] = Offer(self.view, backend, stance=stance)
        return offer

    @property
    def knows(self) -> bool:
        """Whether there has been a View: without one nothing can be said of any backend."""
        return self._first.is_set()

    async def learns(self, seconds: float) -> bool:
        """Wait for the first View; false if there is none within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._first.wait()
        except TimeoutError:
            return False
        return True

    def adopt(self, view: View) -> None:
        """Go by a new View."""
        self.view = view
        self._first.set()
        self._offers = {}
        self._on_view(view)
        for listener in self.listeners:
            listener()

    async def follow(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Watch the Router for ever."""
        router = Reachability("router_reachable", "router_unreachable")
        while True:
            try:
                view = await self._find_router().watch(self.view.generation, self.view.version)
                if view.version > 0 and (view.generation, view.version) != (self.view.generation, self.view.version):
                    self.adopt(view)
            except Exception as error:  # noqa: BLE001 - an ingress that follows no more would be blind for ever
                router.missed(repr(error))
                await sleep(PAUSE_SECONDS)
            else:
                router.reached()
