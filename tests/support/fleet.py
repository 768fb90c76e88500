"""Replicas of one backend on real links, and the links of an ingress to them; no door in front."""

import random
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from actors.bus.dialer import CallerLink, dial
from actors.bus.exchange import Exchange
from actors.bus.listener import Listener
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.view import BackendView, View
from serve_app.links import Links
from tests.support.bus import KEYS, RecordingBackend, until

BACKEND = "git"


class Ship(RecordingBackend):
    """One replica."""

    def __init__(self, index: int, on_open: Callable[[Exchange], None], folder: str) -> None:
        super().__init__(on_open)
        self.key = ReplicaKey(BACKEND, index)
        self.lives = 0
        self.state = ReplicaState.UP
        self._folder = folder

    async def begin(self) -> None:
        """Live, at a place of its own, knowing nothing of the life before."""
        self.lives += 1
        self._listener = Listener(KEYS, self, backend=BACKEND)
        self.address = await self._listener.start(f"unix:{Path(self._folder) / f'{self.key.index}.{self.lives}'}")

    def leave(self) -> None:
        """Say that it takes no new calls."""
        self._listener.leave()

    async def end(self) -> None:
        await self._listener.close()

    @property
    def epoch(self) -> str:
        return f"life {self.lives} of {self.key}"

    def status(self) -> Status:
        return Status(self.key, self.epoch, 1, "here", self.address, None, self.state)


class Fleet:
    """Some replicas, and what one ingress has of them."""

    def __init__(self, ships: list[Ship], connect_seconds: float, view: dict[str, Any]) -> None:
        self.ships = ships
        self.view = view
        """What else the ingress is told of the backend, by the fields of `BackendView`."""
        self.dialled: list[CallerLink] = []
        """Every link that was ever opened."""
        self.harbour_closed = False
        """While it is, no link can be opened: nobody answers."""
        self.links = Links("here", self._dial, random.Random(3).random, connect_seconds=connect_seconds)
        self._version = 0

    @property
    def backend(self) -> BackendView:
        return BackendView(BACKEND, 30.0, replicas=tuple(ship.status() for ship in self.ships), **self.view)

    @property
    def open(self) -> list[CallerLink]:
        return [link for link in self.dialled if not link.closed]

    def publish(self) -> None:
        """Tell the ingress what there is."""
        self._version += 1
        self.links.update(View("router", self._version, {BACKEND: self.backend}))

    def cut(self) -> None:
        """Break every link; each is opened again."""
        for link in self.open:
            link.link.abort("cut")

    async def _dial(self, address: str, backend: str, on_lost: Callable[[str], None]) -> CallerLink:
        if self.harbour_closed:
            raise TimeoutError
        link = await dial(address, KEYS, backend=backend, on_closed=on_lost)
        self.dialled.append(link)
        return link


@asynccontextmanager
async def fleet(
    count: int = 1, on_open: Callable[[Exchange], None] = lambda _: None, *, connect_seconds: float = 1.0, **view: Any
) -> AsyncIterator[Fleet]:
    """So many replicas, each linked."""
    with tempfile.TemporaryDirectory(prefix="f") as folder:
        ships = [Ship(index, on_open, folder) for index in range(count)]
        for ship in ships:
            await ship.begin()
        built = Fleet(ships, connect_seconds, view)
        try:
            built.publish()
            await until(lambda: len(built.open) == count)
            yield built
        finally:
            built.links.close()
            for ship in ships:
                await ship.end()
