"""The links of one ingress replica: one to each replica of each backend in the View, opened again when lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import structlog

from actors.bus.dialer import CallerLink
from actors.core.backoff import Backoff
from actors.core.balancing.candidate import Candidate
from actors.core.balancing.p2c import PowerOfTwoChoices
from actors.core.balancing.rendezvous import rendezvous
from actors.core.breaker import State
from actors.core.load import Load
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.view import BackendView, View

CONNECT_SECONDS: Final = 1.0
"""How long a call waits for the link to a replica that the View says is up: it is being opened."""

STEADY_SECONDS: Final = 5.0
"""A link that held so long was a good one; after a shorter one each further attempt waits longer."""

BACKOFF: Final = Backoff(first=0.05, factor=2.0, cap=5.0)

log = structlog.get_logger()

Dial = Callable[[str, str, Callable[[str], None]], Awaitable[CallerLink]]
"""Opens a link to an address of a backend, within a time limit, and calls back when it is lost.

Raises OSError, or ValueError if it is no address."""


class Links:
    """Holds the links and chooses among them."""

    def __init__(
        self,
        node: str,
        dial: Dial,
        dice: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        """`node` is where we are: replicas there are reached over a unix socket, others over TCP.

        `dice` gives numbers from 0 up to but not including 1.
        """
        self._node = node
        self._dial = dial
        self._dice = dice
        self._clock = clock
        self._sleep = sleep
        self._connect_seconds = connect_seconds
        self._balancer = PowerOfTwoChoices(dice)
        self._lines: dict[ReplicaKey, _Line] = {}
        self._opened = asyncio.Event()
        """Set when a link opens, and replaced at once: all who wait look whether it is theirs."""

    def update(self, view: View) -> None:
        """Open links to what is new or has moved, close those to what is gone."""
        wanted = {replica.key: replica for backend in view.backends.values() for replica in backend.replicas}
        for key in [key for key, line in self._lines.items() if not self._is_current(line, wanted.get(key))]:
            self._lines.pop(key).close()
        for key, replica in wanted.items():
            address = self._address(replica)
            if key not in self._lines and address is not None:
                line = self._lines[key] = _Line(key.backend, address, replica.epoch)
                line.life = asyncio.get_running_loop().create_task(self._keep_open(line))

    def choose(
        self, backend: BackendView, tried: Sequence[ReplicaKey] = (), *, affinity: bytes | None = None
    ) -> tuple[ReplicaKey, CallerLink] | None:
        """An open link to a replica that takes calls; nothing if there is none.

        It is chosen by load; or, for calls of equal `affinity`, at every ingress the same as long as the same links are
        open. Replicas whose breaker is open are left out as long as there are others, until it would admit a probe:
        without a call nothing would ever be heard of them again.
        """
        candidates = [(key, link) for key, link in self._open_links(backend) if key not in tried]
        admitting = [each for each in candidates if not self._is_refusing(*each)]
        subset = admitting or candidates
        if len(subset) <= 1:
            return subset[0] if subset else None
        if affinity is not None:
            return rendezvous(affinity, subset, lambda each: str(each[0]))
        return self._balancer.choose([Candidate(each, each[1].in_flight) for each in subset])

    async def wait_for_any(self, backend: BackendView) -> None:
        """Wait, but not for long, until a link to a replica that is up is open."""
        if backend.up:
            await self._wait_until(lambda: any(self._open_links(backend)))

    def link_to(self, key: ReplicaKey, epoch: str) -> CallerLink | None:
        """The open link to this life of a replica; nothing if it has another one by now, or there is no link."""
        return self._link(key) if self.epoch(key) == epoch else None

    def epoch(self, key: ReplicaKey) -> str | None:
        """The life of a replica that the View knows, if it knows one."""
        line = self._lines.get(key)
        return line.epoch if line is not None else None

    async def again(self, key: ReplicaKey, epoch: str) -> CallerLink | None:
        """The link to this life of a replica, after it was lost or not opened yet; nothing if it does not come soon."""
        await self._wait_until(lambda: self.link_to(key, epoch) is not None)
        return self.link_to(key, epoch)

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

    def _is_refusing(self, key: ReplicaKey, link: CallerLink) -> bool:
        load = link.load
        if load.breaker is not State.OPEN:
            return False
        line = self._lines[key]
        if line.heard is not load:  # the time left is relative, and counts from when it was heard
            line.heard, line.refuses_until = load, self._clock() + load.retry_after
        return self._clock() < line.refuses_until

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(self._connect_seconds):
                while not condition():
                    await self._opened.wait()
        except TimeoutError:
            return

    async def _keep_open(self, line: "_Line") -> None:
        attempt = 0
        while True:
            began = self._clock()
            await self._hold(line)
            if self._clock() - began >= STEADY_SECONDS:
                attempt = 0
            await self._sleep(BACKOFF.delay(attempt, self._dice()))
            attempt += 1

    async def _hold(self, line: "_Line") -> None:
        """Open the link, and return when it is lost or was not to be had."""
        line.lost.clear()
        try:
            link = await self._dial(line.address, line.backend, line.mark_lost)
        except (OSError, ValueError) as error:
            log.debug("link_refused", backend=line.backend, reason=str(error))
            return
        if not link.closed:  # it may have been lost while this task waited for its turn
            line.link = link
            self._opened.set()
            self._opened = asyncio.Event()
            await line.lost.wait()

    def _link(self, key: ReplicaKey) -> CallerLink | None:
        line = self._lines.get(key)
        return line.link if line is not None else None

    def _open_links(self, backend: BackendView) -> Iterator[tuple[ReplicaKey, CallerLink]]:
        for replica in backend.replicas:
            link = self._link(replica.key)
            if link is not None and replica.state is ReplicaState.UP:
                yield replica.key, link

    def _address(self, replica: Status) -> str | None:
        return replica.address if replica.node == self._node else replica.remote_address

    def _is_current(self, line: "_Line", replica: Status | None) -> bool:
        return replica is not None and line.epoch == replica.epoch and line.address == self._address(replica)


class _Line:
    """One link, and the task that keeps it open."""

    def __init__(self, backend: str, address: str, epoch: str) -> None:
        self.backend = backend
        self.address = address
        self.epoch = epoch
        self.link: CallerLink | None = None
        self.lost = asyncio.Event()
        self.life: asyncio.Task[None] | None = None
        self.heard: Load | None = None
        """The last word of an open breaker."""
        self.refuses_until = 0.0

    def mark_lost(self, _reason: str) -> None:
        self.link = None
        self.lost.set()

    def close(self) -> None:
        if self.life is not None:
            self.life.cancel()
        if self.link is not None:
            self.link.close()
            self.link = None
