"""The links of one ingress replica: one to each replica of each backend in the View, opened again when lost."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from random import Random
from typing import Final

import structlog

from actors.bus.dialer import CallerLink
from actors.core.backoff import Backoff
from actors.core.balancing.candidate import Candidate
from actors.core.balancing.p2c import PowerOfTwoChoices
from actors.core.breaker import State
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.view import BackendView, View

CONNECT_SECONDS: Final = 1.0
"""How long a call waits for the link to a replica that the View says is up: it is being opened."""

log = structlog.get_logger()

Dial = Callable[[str, str, Callable[[str], None]], Awaitable[CallerLink]]
"""Opens a link to an address of a backend, within a time limit, and calls back when it is lost. Raises OSError."""


class Links:
    """Holds the links and chooses among them."""

    def __init__(self, node: str, dial: Dial, rng: Random) -> None:
        """`node` is where we are: replicas there are reached over a unix socket, others over TCP."""
        self._node = node
        self._dial = dial
        self._rng = rng
        self._balancer = PowerOfTwoChoices(rng)
        self._lines: dict[ReplicaKey, _Line] = {}

    def update(self, view: View) -> None:
        """Open links to what is new or has moved, close those to what is gone."""
        wanted = {replica.key: replica for backend in view.backends.values() for replica in backend.replicas}
        for key in [key for key, line in self._lines.items() if not self._is_current(line, wanted.get(key))]:
            self._lines.pop(key).close()
        for key, replica in wanted.items():
            address = self._address(replica)
            if key not in self._lines and address is not None:
                self._lines[key] = _Line(key.backend, address, replica.epoch, self._dial, self._rng)

    def choose(self, backend: BackendView, tried: Sequence[ReplicaKey] = ()) -> tuple[ReplicaKey, CallerLink] | None:
        """An open link to a replica that takes calls, by load; nothing if there is none.

        Replicas whose breaker is open are left out as long as there are others.
        """
        candidates = [(key, link) for key, link in self._open_links(backend) if key not in tried]
        admitting = [each for each in candidates if each[1].load.breaker is not State.OPEN]
        subset = admitting or candidates
        if len(subset) <= 1:
            return subset[0] if subset else None
        return self._balancer.choose([Candidate(each, each[1].in_flight) for each in subset])

    async def wait_for_any(self, backend: BackendView) -> None:
        """Wait, but not for long, until a link to the backend is open."""
        lines = [self._lines[replica.key] for replica in backend.replicas if replica.key in self._lines]
        if not backend.up or not lines:
            return
        waits = [asyncio.ensure_future(line.opened.wait()) for line in lines]
        _, pending = await asyncio.wait(waits, timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()

    async def again(self, key: ReplicaKey) -> CallerLink | None:
        """The link to the same life of a replica, after it was lost; nothing if it does not come back soon."""
        line = self._lines.get(key)
        if line is None:
            return None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await line.opened.wait()
        except TimeoutError:
            return None
        return line.link

    def cancel_origin(self, origin: bytes) -> None:
        """Cancel whatever runs for a downstream request, wherever it runs."""
        for line in self._lines.values():
            if line.link is not None:
                line.link.cancel_origin(origin)

    def close(self) -> None:
        """Close them all."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    def _open_links(self, backend: BackendView) -> Iterator[tuple[ReplicaKey, CallerLink]]:
        for replica in backend.replicas:
            line = self._lines.get(replica.key)
            if line is not None and line.link is not None and replica.state is ReplicaState.UP:
                yield replica.key, line.link

    def _address(self, replica: Status) -> str | None:
        return replica.address if replica.node == self._node else replica.remote_address

    def _is_current(self, line: "_Line", replica: Status | None) -> bool:
        return replica is not None and line.epoch == replica.epoch and line.address == self._address(replica)


class _Line:
    """Keeps one link open."""

    def __init__(self, backend: str, address: str, epoch: str, dial: Dial, rng: Random) -> None:
        self.address = address
        self.epoch = epoch
        self.link: CallerLink | None = None
        self.opened = asyncio.Event()
        self._lost = asyncio.Event()
        self._backend = backend
        self._dial = dial
        self._rng = rng
        self._backoff = Backoff(first=0.05, factor=2.0, cap=5.0)
        self._life = asyncio.get_running_loop().create_task(self._live())

    def close(self) -> None:
        self._life.cancel()
        if self.link is not None:
            self.link.close()
            self.link = None

    async def _live(self) -> None:
        failures = 0
        while True:
            self._lost.clear()
            try:
                link = await self._dial(self.address, self._backend, self._mark_lost)
            except OSError as error:
                failures += 1
                log.debug("link_refused", backend=self._backend, reason=str(error))
                await asyncio.sleep(self._backoff.delay(failures, self._rng.random()))
                continue
            failures = 0
            self.link = link
            self.opened.set()
            await self._lost.wait()

    def _mark_lost(self, _reason: str) -> None:
        self.link = None
        self.opened.clear()
        self._lost.set()
