"""What every replica said last: its status, its load, and the lists of its server.

Callers pass `now` from one monotonic clock, in seconds.
"""

from collections import Counter
from collections.abc import Collection, Mapping

import msgspec

from actors.core.life_counts import LifeCounts
from actors.core.link_refusal import Refused
from actors.core.listing import Facts, Listing
from actors.core.load import Load
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.roster import Berth
from actors.core.tally import BackendFacts


class ReplicaBook:
    """Takes what is news, and never lets older news undo newer."""

    def __init__(self) -> None:
        self._statuses: dict[ReplicaKey, Status] = {}
        self._heard_at: dict[ReplicaKey, float] = {}
        self._former: dict[ReplicaKey, str] = {}
        """The epoch of each replica's life before this one."""
        self._loads: dict[ReplicaKey, Load] = {}
        self._restarts: dict[ReplicaKey, int] = {}
        self._transitions = LifeCounts()
        """Those of each replica's breaker, even if its load is no longer known."""
        self._refused = LifeCounts()
        """The connections that each did not take for links."""
        self.listings: dict[str, Listing] = {}
        """The last lists of each backend."""
        self.facts: dict[str, Facts] = {}

    @property
    def statuses(self) -> Mapping[ReplicaKey, Status]:
        """What each said last of itself."""
        return self._statuses

    @property
    def up(self) -> Collection[ReplicaKey]:
        """Those that take calls."""
        return [key for key, status in self._statuses.items() if status.state is ReplicaState.UP]

    def load(self, key: ReplicaKey) -> Load:
        """What it said last of its load."""
        return self._loads.get(key, Load())

    def in_flight(self) -> Mapping[str, int]:
        """Calls in flight at all replicas of each backend."""
        counted: Counter[str] = Counter()
        for key, load in self._loads.items():
            counted[key.backend] += load.in_flight
        return counted

    def report(self, status: Status, now: float) -> bool:
        """A replica tells what it is; false for what is older than what is known."""
        key, known = status.key, self._statuses.get(status.key)
        if known is not None and self._is_old(status, known):
            return False
        if known is not None and known.epoch != status.epoch:
            self._loads.pop(key, None)
            self._restarts[key] = self._restarts.get(key, 0) + known.restarts + 1
            self._former[key] = known.epoch
            self._transitions.begin(key)
            self._refused.begin(key)
        self._heard_at[key] = now
        self._statuses[key] = status
        # a replica that is away still has its last lists, and they must not undo those of one that is up
        is_up, backend = status.state is ReplicaState.UP, key.backend
        if status.listing is not None and (is_up or backend not in self.listings):
            self.listings[backend] = status.listing
        if status.facts is not None and (is_up or backend not in self.facts):
            self.facts[backend] = status.facts
        return True

    def beat(self, key: ReplicaKey, epoch: str, sequence: int, load: Load, now: float, refused: Refused = ()) -> bool:
        """A replica lives, is so loaded, and refused so many; false if what it said last is not known here."""
        known = self._statuses.get(key)
        if known is None or known.epoch != epoch or known.sequence != sequence:
            return False
        self._heard_at[key] = now
        self._loads[key] = load
        self._transitions.tell(key, load.transitions)
        self._refused.tell(key, refused)
        return True

    def lose(self, now: float, seconds: float) -> list[ReplicaKey]:
        """Take those for gone that gave no sign of life for so long; gives them."""
        lost = []
        for key, heard_at in self._heard_at.items():
            if self._statuses[key].state is not ReplicaState.DOWN and now - heard_at > seconds:
                self._statuses[key] = _unheard(self._statuses[key], ReplicaState.DOWN, "it gives no sign of life")
                self._loads.pop(key, None)
                lost.append(key)
        return lost

    def bury(self, key: ReplicaKey, epoch: str) -> bool:
        """Take this life of a replica for over, until it shows that it is not; false if it was not up, or is another.

        Whoever restarts processes starts the next.
        """
        known = self._statuses.get(key)
        if known is None or known.epoch != epoch or known.state is ReplicaState.STARTING:
            return False
        self._statuses[key] = _unheard(known, ReplicaState.STARTING, "its process is gone")
        self._loads.pop(key, None)
        return True

    def forget(self, key: ReplicaKey) -> None:
        """It has ended, and will not come again."""
        for known in (self._statuses, self._heard_at, self._former, self._loads, self._restarts):
            known.pop(key, None)
        self._transitions.forget(key)
        self._refused.forget(key)

    def keep(self, backends: Collection[str]) -> None:
        """Forget the lists of all backends but these."""
        self.listings = {name: listing for name, listing in self.listings.items() if name in backends}
        self.facts = {name: facts for name, facts in self.facts.items() if name in backends}

    def shown(self, berths: Mapping[ReplicaKey, Berth]) -> Mapping[str, tuple[Status, ...]]:
        """What ingress replicas are told of the replicas of each backend, in order: of those that have a berth."""
        shown: dict[str, list[Status]] = {}
        for key in sorted(key for key in berths if key in self._statuses):
            status = _shown(self._statuses[key], retiring=berths[key].retiring)
            shown.setdefault(key.backend, []).append(status)
        return {name: tuple(statuses) for name, statuses in shown.items()}

    def backend_facts(self) -> list[BackendFacts]:
        """What Metrics is told."""
        return [
            BackendFacts(
                backend=key.backend,
                replica=key.index,
                up=status.state is ReplicaState.UP,
                restarts=self._restarts.get(key, 0) + status.restarts,
                tools=len(self.listings.get(key.backend, Listing()).tools),
                breaker=self.load(key).breaker,
                in_flight=self.load(key).in_flight,
                transitions=self._transitions.total(key),
                refused=self._refused.total(key),
            )
            for key, status in self._statuses.items()
        ]

    def _is_old(self, status: Status, known: Status) -> bool:
        if status.epoch == known.epoch:
            return status.sequence < known.sequence
        return status.epoch == self._former.get(status.key)


def _shown(status: Status, *, retiring: bool) -> Status:
    state = status.state
    if retiring and state in (ReplicaState.UP, ReplicaState.STARTING):
        state = ReplicaState.DRAINING  # one that starts will take no calls either
    return msgspec.structs.replace(status, state=state, listing=None)


def _unheard(status: Status, state: ReplicaState, detail: str) -> Status:
    """A status that it did not tell itself: its next beat finds another sequence here than its own, and so reports."""
    return msgspec.structs.replace(status, state=state, detail=detail, sequence=-1)
