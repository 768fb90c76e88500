"""Gives each replica a process: one of its own, or one that it shares."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from actors.core.membership import ReplicaKey, Status
from actors.core.packing import Packing
from actors.core.roster import Berth, Orders
from actors.refs.backend import BackendRef
from actors.refs.gone import ActorGone
from actors.refs.host import HostRef
from actors.refs.router import RouterRef

PAUSE_SECONDS: Final = 0.5
"""Between two attempts to tell a Router that is not there, or was not told yet what there shall be."""


class Housing:
    """Belongs to the command, whose the processes are. Knows who shares which, and ends those that nobody needs."""

    def __init__(
        self,
        packing: Packing,
        router: RouterRef,
        start_backend: Callable[[Berth, HostRef | None], BackendRef],
        start_host: Callable[[str], HostRef],
        cpus: Callable[[], float],
    ) -> None:
        """`start_backend` and `start_host` are those of `actors.runtime`; `cpus` tells how many the cluster has now."""
        self._packing = packing
        self._router = router
        self._start_backend = start_backend
        self._start_host = start_host
        self._cpus = cpus
        self._hosts: dict[str, HostRef] = {}

    def expect(self, orders: Orders) -> None:
        """Take note of who will be there when all that is ordered is done, for each to find its place."""
        self._packing.expect([berth.key for berth in orders.staying if not berth.settings.has_own_process])

    def start(self, berth: Berth) -> "Lodger":
        """Have a replica started; it is there once it has begun.

        Raises:
            ValueError: Ray does not take what its settings want of it.
        """
        name = self._packing.place(berth.key, own=berth.settings.has_own_process, cpus=self._cpus())
        if name and name not in self._hosts:
            self._hosts[name] = self._start_host(name)
        host = self._hosts.get(name)
        try:
            backend = self._start_backend(berth, host)
        except ValueError:
            self._leave(berth.key)
            raise
        return Lodger(backend, name, self._router, self._leave, partial(self._lose, host))

    def _leave(self, key: ReplicaKey) -> None:
        empty = self._hosts.pop(self._packing.leave(key), None)
        if empty is not None:
            empty.end()

    def _lose(self, host: HostRef | None) -> None:
        """A process is dead for good: who comes next to its place gets another one there."""
        if host is not None and self._hosts.get(host.name) is host:
            del self._hosts[host.name]


class Lodger:
    """One replica in its process, which is known to the Router if it is a shared one."""

    def __init__(
        self,
        backend: BackendRef,
        host: str,
        router: RouterRef,
        leave: Callable[[ReplicaKey], None],
        lose: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`host` is empty for a process of its own. `leave` is called at the end, `lose` if its process is no more."""
        self._backend = backend
        self._host = host
        self._router = router
        self._leave = leave
        self._lose = lose
        self._sleep = sleep

    async def begin(self, limit: float) -> Status:
        """See `BackendRef.begin`.

        Raises:
            ActorGone: its process did not start.
            TimeoutError: there is no Router, which has to know first: a process that restarts asks it whom to house.
        """
        async with asyncio.timeout(limit):
            while self._host and not await self._is_housed():
                await self._sleep(PAUSE_SECONDS)
        try:
            return await self._backend.begin(limit)
        except ActorGone as gone:
            if gone.for_good:
                self._lose()
            raise

    async def stop(self, drain_seconds: float) -> None:
        """See `BackendRef.stop`.

        Raises:
            ActorGone: it is not there to be stopped.
        """
        await self._backend.stop(drain_seconds)

    def end(self) -> None:
        """End its process if nobody else is in it."""
        self._backend.end()
        self._leave(self._backend.key)

    async def _is_housed(self) -> bool:
        try:
            return await self._router.house(self._backend.key, self._host)
        except ActorGone:
            return False
