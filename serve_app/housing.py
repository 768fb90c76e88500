"""Gives each replica a process: one of its own, or one that it shares."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from actors.core.membership import ReplicaKey, Status
from actors.core.packing import Packing
from actors.core.roster import Berth
from actors.refs import ActorGone, BackendRef, HostRef, RouterRef

PAUSE_SECONDS: Final = 0.5
"""Between two attempts to tell a Router that is not there."""


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

    def start(self, berth: Berth) -> "Lodger":
        """Have a replica started; it is there once it has begun.

        Raises:
            ValueError: Ray does not take what its settings want of it.
        """
        name = self._packing.place(berth.key, own=berth.settings.has_own_process, cpus=self._cpus())
        if name and name not in self._hosts:
            self._hosts[name] = self._start_host(name)
        try:
            backend = self._start_backend(berth, self._hosts.get(name))
        except ValueError:
            self._leave(berth.key)
            raise
        return Lodger(backend, name, self._router, self._leave)

    def _leave(self, key: ReplicaKey) -> None:
        empty = self._hosts.pop(self._packing.leave(key), None)
        if empty is not None:
            empty.end()


class Lodger:
    """One replica in its process, which is known to the Router if it is a shared one."""

    def __init__(
        self,
        backend: BackendRef,
        host: str,
        router: RouterRef,
        leave: Callable[[ReplicaKey], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`host` is empty for a process of its own; `leave` is called at the end."""
        self._backend = backend
        self._host = host
        self._router = router
        self._leave = leave
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
        return await self._backend.begin(limit)

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
            await self._router.house(self._backend.key, self._host)
        except ActorGone:
            return False
        return True
