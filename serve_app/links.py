"""The links of one ingress replica: one to each replica of each backend in the View, opened again when lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

import structlog

from actors.bus.dialer import CallerLink
from actors.core.balancing.candidate import Candidate
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.outcome import Outcome
from actors.core.pool import Pool
from actors.core.view import BackendView, View
from serve_app.line import BACKOFF, Dial, Line
from serve_app.renewal import Renewal

CONNECT_SECONDS: Final = 1.0
"""How long a call waits for the link to a replica that the View says is up: it is being opened."""

NEWS_SECONDS: Final = 10.0
"""How long a call waits for the View to tell who follows a replica that has said it leaves: on a busy machine the View
may be seconds late, and it comes for sure."""

STEADY_SECONDS: Final = 5.0
"""A link that held so long was a good one; after a shorter one each further attempt waits longer."""

NOBODY_LISTENS: Final = (ConnectionRefusedError, FileNotFoundError)
"""What a dial raises where no process listens. Any other error, and silence above all, may be the fault of the way."""

log = structlog.get_logger()


def _nobody(_key: ReplicaKey, _epoch: str) -> None:
    """The default of `on_over`."""


class Links:
    """Holds the links and chooses among them.

    A replica listens from the beginning of its life to its end. So where a link was open, and nobody listens any more,
    that life is over, and nobody waits for it.

    Links that were opened with an older key than the newest are replaced, see `Renewal`.
    """

    def __init__(
        self,
        node: str,
        dial: Dial,
        dice: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        zone: str = "",
        on_over: Callable[[ReplicaKey, str], None] = _nobody,
    ) -> None:
        """`node` is where we are: replicas there are reached over a unix socket, others over TCP.

        `dice` gives numbers from 0 up to but not including 1. `zone` is where the node is; if that is empty, it is
        learned from the replicas on the node. `on_over` is told, once, of a life of a replica that is over.
        """
        self._node = node
        self._dial = dial
        self._dice = dice
        self._clock = clock
        self._sleep = sleep
        self.connect_seconds = connect_seconds
        self._renewal = Renewal(dial, dice, sleep)
        self._on_over = on_over
        self._backends: Mapping[str, BackendView] = {}
        self._zone = zone
        self._lines: dict[ReplicaKey, Line] = {}
        self._pools: dict[str, Pool] = {}
        """By backend."""
        self._opened = asyncio.Event()
        """Set when a link opens, a life is over, or a View comes, and replaced at once: all who wait look whether it
        is for them."""

    def update(self, view: View) -> None:
        """Open links to what is new or has moved, close those to what is gone, and choose by what is set now."""
        self._backends = view.backends
        wanted = {replica.key: replica for backend in view.backends.values() for replica in backend.replicas}
        wanted |= {replica.key: replica for replica in view.leaving}  # calls which run there may end
        for key in [key for key, line in self._lines.items() if not self._is_current(line, wanted.get(key))]:
            self._lines.pop(key).close()
        for key, replica in wanted.items():
            address = self._address(replica)
            if key not in self._lines and address is not None:
                line = self._lines[key] = Line(key, address, replica.epoch)
                line.life = asyncio.get_running_loop().create_task(self._keep_open(line))
        leaving = {replica.key for replica in view.leaving}
        for key, line in self._lines.items():
            line.leaving, line.weight = key in leaving, wanted[key].weight
            if line.sequence != wanted[key].sequence:
                line.sequence = wanted[key].sequence
                line.last_word.forget_refusal()
        if view.link_keys is not None:
            self._renewal.look(self._lines.values(), view.link_keys.number)
        self._update_pools(view)

    def choose(
        self, backend: BackendView, tried: Sequence[ReplicaKey] = (), *, affinity: bytes | None = None
    ) -> tuple[ReplicaKey, CallerLink] | None:
        """An open link to a replica that takes calls; nothing if there is none.

        It is chosen as the backend's settings say; or, for calls of equal `affinity`, at every ingress the same as long
        as the same replicas take calls there. Replicas whose breaker is open are left out as long as there are others,
        until it would admit a probe: without a call nothing would ever be heard of them again.
        """
        standing = [found for found in self._open_links(backend) if not tried or found[0].key not in tried]
        pool = self._pools.get(backend.name)
        if len(standing) <= 1 or pool is None:
            return (standing[0][0].key, standing[0][1]) if standing else None
        now = self._clock()
        candidates = []
        refusing = []
        for line, link in standing:
            word, own = line.last_word, link.in_flight
            word.hear(link.load, own, now)
            candidates.append(Candidate((line.key, link), own + word.others(now), line.weight, line.name))
            if word.is_refusing(now):
                refusing.append(line.name)
        return pool.choose(candidates, refusing, affinity, now)

    def note(self, key: ReplicaKey, outcome: Outcome, seconds: float) -> bool:
        """Account for what a call to a replica came to, `seconds` after it was opened; whether that has it ejected.

        Failures that speak against the replica have it left alone for a while; how long replies took is what some
        balancers go by.
        """
        line, pool = self._lines.get(key), self._pools.get(key.backend)
        if line is None or pool is None:
            return False
        ejected = pool.note(line.name, outcome, seconds, self._clock())
        if ejected is not None:
            log.warning("replica_ejected", backend=key.backend, replica=key.index, seconds=ejected)
        return ejected is not None

    def ejected(self) -> Mapping[str, Collection[str]]:
        """The replicas, by name, that are left alone now, of each backend that has some."""
        now = self._clock()
        found = {name: pool.ejected(now) for name, pool in self._pools.items()}
        return {name: replicas for name, replicas in found.items() if replicas}

    def takes_calls(self, backend: BackendView, tried: Sequence[ReplicaKey] = ()) -> bool:
        """Whether `choose` would find a link."""
        return any(line.key not in tried for line, _ in self._open_links(backend))

    def patience(self, backend: BackendView) -> float:
        """How many seconds a call waits for a link to a replica, if there is none."""
        lines = [self._lines.get(replica.key) for replica in backend.replicas if replica.state is ReplicaState.UP]
        awaits_news = any(line is not None and line.has_left for line in lines)
        return NEWS_SECONDS if awaits_news else self.connect_seconds

    def knows(self, backend: BackendView) -> bool:
        """Whether the last View has this backend."""
        return backend.name in self._backends

    def latest(self, backend: BackendView) -> BackendView:
        """The backend as the last View knows it; as it was, if that knows it no more."""
        return self._backends.get(backend.name, backend)

    async def wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for something that a link which opens or a new View may bring about, so long at the most."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await self._opened.wait()
        except TimeoutError:
            return

    def link_to(self, key: ReplicaKey, epoch: str) -> CallerLink | None:
        """The open link to this life of a replica; nothing if it has another one by now, or there is no link."""
        return self._link(key) if self.epoch(key) == epoch else None

    def epoch(self, key: ReplicaKey) -> str | None:
        """The life of a replica that the View knows, if it knows one and it is not over."""
        line = self._lines.get(key)
        return line.epoch if line is not None and not line.over else None

    def is_over(self, key: ReplicaKey, epoch: str) -> bool:
        """Whether there is proof that this life of a replica is over; of those before the View's there is none."""
        line = self._lines.get(key)
        return line is not None and line.epoch == epoch and line.over

    async def again(self, key: ReplicaKey, epoch: str) -> CallerLink | None:
        """The link to this life of a replica, after it was lost or not opened yet; nothing if it does not come soon,
        or the life is over."""

        def is_decided() -> bool:
            return self.link_to(key, epoch) is not None or self.is_over(key, epoch)

        await self.wait_until(is_decided, self.connect_seconds)
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
        self._renewal.close()

    def _update_pools(self, view: View) -> None:
        if not self._zone:
            replicas = (replica for backend in view.backends.values() for replica in backend.replicas)
            self._zone = next((each.zone for each in replicas if each.node == self._node and each.zone), "")
        self._pools = {name: self._pools.get(name) or Pool(self._dice) for name in view.backends}
        for name, backend in view.backends.items():
            self._pools[name].update(backend, self._zone if view.prefer_zone else "", self._clock())
        self._tell_waiting()

    async def _keep_open(self, line: Line) -> None:
        attempt = 0
        while True:
            began = self._clock()
            await self._hold(line)
            if self._clock() - began >= STEADY_SECONDS:
                attempt = 0
            await self._sleep(BACKOFF.delay(attempt, self._dice()))
            attempt += 1

    async def _hold(self, line: Line) -> None:
        """Open the link, and return when it is lost or was not to be had."""
        line.lost.clear()
        try:
            link = await line.dial(self._dial)
        except (OSError, ValueError) as error:
            log.debug("link_refused", backend=line.key.backend, reason=str(error))
            if line.was_open and isinstance(error, NOBODY_LISTENS):
                line.was_open, line.over = False, True
                self._on_over(line.key, line.epoch)
                self._tell_waiting()
            return
        line.was_open, line.over = True, False
        if not link.closed:  # it may have been lost while this task waited for its turn
            line.link = link
            self._tell_waiting()
            await line.lost.wait()

    def _tell_waiting(self) -> None:
        self._opened.set()
        self._opened = asyncio.Event()

    def _link(self, key: ReplicaKey) -> CallerLink | None:
        line = self._lines.get(key)
        return line.link if line is not None else None

    def _open_links(self, backend: BackendView) -> Iterator[tuple[Line, CallerLink]]:
        for replica in backend.replicas:
            if replica.state is ReplicaState.UP:
                line = self._lines.get(replica.key)
                if line is not None and line.link is not None and not (line.leaving or line.has_left):
                    yield line, line.link

    def _address(self, replica: Status) -> str | None:
        return replica.address if replica.node == self._node else replica.remote_address

    def _is_current(self, line: Line, replica: Status | None) -> bool:
        return replica is not None and line.epoch == replica.epoch and line.address == self._address(replica)
