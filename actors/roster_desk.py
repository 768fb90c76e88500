"""The Router's desk for the roster: takes what shall be, and gives it as orders to whoever starts and stops actors."""

import asyncio
import time
from collections.abc import Callable, Collection, Container, Mapping, Sequence

import structlog

from actors.core.membership import ReplicaKey
from actors.core.roster import Added, Berth, Changes, Orders, Roster
from actors.core.scaling import Scaling
from actors.core.settings import BackendSettings

log = structlog.get_logger()


class RosterDesk:
    """Belongs to one event loop. `clock` is monotonic, in seconds; `changed` is called after every change."""

    def __init__(
        self,
        generation: str,
        backends: Sequence[BackendSettings] | None,
        changed: Callable[[], None],
        *,
        watch_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`backends` is nothing for a Router that does not know them yet: it will be told by `adopt`."""
        self._generation = generation
        self._changed = changed
        self._watch_seconds = watch_seconds
        self._clock = clock
        self._roster: Roster | None = None
        self._scalings: dict[str, Scaling] = {}
        self._news = asyncio.Event()
        if backends is not None:
            self._roster = Roster()
            self._roster.configure(backends)

    @property
    def known(self) -> bool:
        """Whether it is known what shall be."""
        return self._roster is not None

    @property
    def backends(self) -> Mapping[str, BackendSettings]:
        """The backends there shall be, in alphabetical order."""
        return {} if self._roster is None else self._roster.backends

    @property
    def berths(self) -> Mapping[ReplicaKey, Berth]:
        """The berths, those that retire, too."""
        return {} if self._roster is None else self._roster.berths

    @property
    def added(self) -> Mapping[str, Added]:
        """The servers added while the gateway ran, by name."""
        return {} if self._roster is None else self._roster.added

    def count(self, backend: str) -> int:
        """How many replicas of it there shall be now."""
        return 0 if self._roster is None else self._roster.count(backend)

    async def orders(self, generation: str, version: int) -> Orders:
        """The orders as soon as they differ from those named, or after a while even so."""
        try:
            async with asyncio.timeout(self._watch_seconds):
                while self._roster is not None and (generation, version) == (self._generation, self._roster.version):
                    await self._news.wait()
        except TimeoutError:
            pass
        if self._roster is None:
            return Orders(self._generation, 0, known=False)
        return self._roster.orders(self._generation)

    def adopt(self, orders: Orders) -> None:
        """Go on from what the Router before this one ordered last; ignored if this one knows already."""
        if self._roster is None:
            self._roster = Roster(orders)
            self._tell()

    def configure(self, backends: Sequence[BackendSettings]) -> Changes:
        """See `Roster.configure`."""
        return self._change(lambda roster: roster.configure(backends))

    def add(self, added: Added) -> Changes:
        """See `Roster.add`."""
        return self._change(lambda roster: roster.add(added))

    def remove(self, name: str) -> Changes:
        """See `Roster.remove`."""
        return self._change(lambda roster: roster.remove(name))

    def ask_reload(self) -> int:
        """See `Roster.ask_reload`."""
        asked = self._roster.ask_reload() if self._roster is not None else 0
        self._tell()
        return asked

    def house(self, key: ReplicaKey, host: str) -> None:
        """See `Roster.house`."""
        if self._roster is not None:
            self._roster.house(key, host)
            self._tell()

    def clear(self, key: ReplicaKey) -> None:
        """See `Roster.clear`."""
        if self._roster is not None:
            self._roster.clear(key)
            self._tell()

    def settle(self, up: Collection[ReplicaKey]) -> None:
        """See `Roster.settle`."""
        self._if_changed(lambda roster: roster.settle(up))

    def wake(self, name: str) -> None:
        """Somebody wants a backend: let it have a replica if it has none."""
        self._scaling(name).wake(self._clock())
        self._if_changed(lambda roster: roster.scale(name, max(roster.count(name), 1)))

    def scale(self, in_flight: Mapping[str, int], serving: Container[str]) -> None:
        """Let there be as many replicas as there is work for: `in_flight` has the calls of each backend.

        Only one that is `serving`, which some replica of it is up for, can be idle: what starts is wanted.
        """
        for name, settings in self.backends.items():
            if settings.scale.min == settings.scale.max:
                continue
            if name not in serving:
                self._scaling(name).wake(self._clock())
                continue
            count = self.count(name)
            wanted = self._scaling(name).wanted(settings.scale, count, in_flight.get(name, 0), self._clock())
            if wanted != count:
                log.info("backend_scaled", backend=name, replicas=wanted, before=count)
                self._if_changed(lambda roster, name=name, wanted=wanted: roster.scale(name, wanted))

    def _scaling(self, name: str) -> Scaling:
        if name not in self._scalings:
            self._scalings = {each: self._scalings.get(each, Scaling()) for each in (*self.backends, name)}
        return self._scalings[name]

    def _change(self, change: Callable[[Roster], Changes]) -> Changes:
        if self._roster is None:
            raise LookupError("not told yet what there is: try again in a moment")
        changes = change(self._roster)
        self._tell()
        return changes

    def _if_changed(self, change: Callable[..., None]) -> None:
        if self._roster is not None:
            before = self._roster.version
            change(self._roster)
            if self._roster.version != before:
                self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
        self._changed()
