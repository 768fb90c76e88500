"""The Router's desk for the roster: takes what shall be, and gives it as orders to whoever starts and stops actors."""

import time
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from typing import ParamSpec, TypeVar

import structlog

from actors.core.membership import ReplicaKey
from actors.core.roster import Added, Changes, Orders, Roster
from actors.core.scaling import Scaling
from actors.core.settings import BackendSettings
from actors.core.terms import Terms
from actors.followers import Followers

P = ParamSpec("P")
T = TypeVar("T")

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
        self._followers = Followers(watch_seconds)
        self._clock = clock
        self.known = backends is not None
        """Whether it is known what shall be."""
        self.roster = Roster()
        """Read by others, and changed here only; empty as long as it is not known."""
        self._scalings: dict[str, Scaling] = {}
        self.roster.configure(backends or ())

    async def orders(self, generation: str, version: int) -> Orders:
        """The orders as soon as they differ from those named, or after a while even so."""
        await self._followers.wait_while(
            lambda: self.known and (generation, version) == (self._generation, self.roster.version)
        )
        return self.roster.orders(self._generation) if self.known else Orders(self._generation, 0, known=False)

    def adopt(self, orders: Orders) -> None:
        """Go on from what the Router before this one ordered last; ignored if this one knows already."""
        if not self.known:
            self.known = True
            self.roster = Roster(orders)
            self._tell()

    def configure(self, backends: Sequence[BackendSettings], terms: Terms | None = None) -> Changes:
        """See `Roster.configure`."""
        self._require_known()
        return self._change(self.roster.configure, backends, terms)

    def add(self, added: Added) -> Changes:
        """See `Roster.add`."""
        self._require_known()
        return self._change(self.roster.add, added)

    def remove(self, name: str) -> Changes:
        """See `Roster.remove`."""
        self._require_known()
        return self._change(self.roster.remove, name)

    def ask_reload(self) -> int:
        """See `Roster.ask_reload`."""
        self._require_known()
        return self._change(self.roster.ask_reload)

    def house(self, key: ReplicaKey, host: str) -> bool:
        """See `Roster.house`."""
        return self._change(self.roster.house, key, host)

    def clear(self, key: ReplicaKey) -> None:
        """See `Roster.clear`."""
        self._change(self.roster.clear, key)

    def settle(self, up: Collection[ReplicaKey]) -> None:
        """See `Roster.settle`."""
        self._change(self.roster.settle, up)

    def wake(self, name: str) -> None:
        """Somebody wants a backend: let it have a replica if it has none."""
        self._scaling(name).wake(self._clock())
        self._change(self.roster.scale, name, max(self.roster.count(name), 1))

    def scale(self, in_flight: Mapping[str, int], serving: Container[str]) -> None:
        """Let there be as many replicas as there is work for: `in_flight` has the calls of each backend.

        Only one that is `serving`, which some replica of it is up for, can be idle: what starts is wanted.
        """
        for name, settings in self.roster.backends.items():
            if settings.scale.min == settings.scale.max:
                continue
            if name not in serving:
                self._scaling(name).wake(self._clock())
                continue
            count = self.roster.count(name)
            wanted = self._scaling(name).wanted(settings.scale, count, in_flight.get(name, 0), self._clock())
            if wanted != count:
                log.info("backend_scaled", backend=name, replicas=wanted, before=count)
                self._change(self.roster.scale, name, wanted)

    def _scaling(self, name: str) -> Scaling:
        if name not in self._scalings:
            self._scalings = {each: self._scalings.get(each, Scaling()) for each in (*self.roster.backends, name)}
        return self._scalings[name]

    def _require_known(self) -> None:
        if not self.known:
            raise LookupError("not told yet what there is: try again in a moment")

    def _change(self, change: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something to the roster, and tell everyone if that made it another one."""
        before = self.roster.version
        outcome = change(*args, **kwargs)
        if self.roster.version != before:
            self._tell()
        return outcome

    def _tell(self) -> None:
        self._followers.wake()
        self._changed()
