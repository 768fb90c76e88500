"""The replicas of one backend as one ingress sees them, and the choice among them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from actors.core.balancing.balancer import Balancer, balancer_for
from actors.core.balancing.candidate import Candidate
from actors.core.balancing.peak_ewma import PeakEwma
from actors.core.balancing.ring import Ring
from actors.core.ejection import EJECTING, Ejections
from actors.core.membership import ReplicaState
from actors.core.outcome import Failure, Outcome
from actors.core.subset import subset_of
from actors.core.traffic_settings import BalancerSettings, Balancing, EjectionSettings
from actors.core.view import BackendView

T = TypeVar("T")


class Pool:
    """Filters, then chooses. Replicas are named by `str(key)`, and what is kept of them is bounded by their number.

    Callers pass `now` from a monotonic clock, in seconds.
    """

    def __init__(self, dice: Callable[[], float]) -> None:
        """`dice` gives numbers from 0 up to but not including 1. There is nobody in it before the first `update`."""
        self._dice = dice
        self._weights: Mapping[str, float] = {}
        self._lives: dict[str, tuple[str, int]] = {}
        """The epoch of each, and how often its server was started again in that."""
        self._since: dict[str, float] = {}
        """When that was learned; calls opened earlier went to the life before."""
        self._near: Collection[str] = ()
        self._set_up(BalancerSettings())
        self._set_up_ejections(EjectionSettings())

    def update(self, backend: BackendView, zone: str, now: float) -> None:
        """Take over who there is and what is set; those in `zone` come first, unless it is empty.

        A replica that is not up, or was started again, has a clean slate: what it did before says nothing of it now.
        """
        weights = {str(replica.key): replica.weight for replica in backend.replicas}
        if backend.balancer != self._settings:
            self._set_up(backend.balancer)
        if backend.ejection != self._ejection_settings:
            self._set_up_ejections(backend.ejection)
        if weights != self._weights:
            self._weights = weights
            self._start_anew()
        self._ejections.keep(weights)
        self._latencies.keep(weights)
        near = frozenset(str(replica.key) for replica in backend.replicas if zone and replica.zone == zone)
        self._near = near if len(near) < len(weights) else ()
        self._clean_slates(backend, now)

    def choose(
        self, standing: Sequence[Candidate[T]], refusing: Collection[str], affinity: bytes | None, now: float
    ) -> T:
        """One of those that are up, linked and untried; at least one is, and each is a member.

        Their load is calls in flight. Those `refusing` are left out as long as there are others. Calls of equal
        `affinity` meet wherever they come in, so for them it does not matter who is near.
        """
        near = self._near if affinity is None else ()
        subset = subset_of(standing, refusing=refusing, ejected=self._ejections.ejected(now), near=near)
        if len(subset) == 1:
            return subset[0].value
        if affinity is not None:
            return self._owner(affinity, subset)
        if self._settings.kind is Balancing.PEAK_EWMA:
            subset = [self._measured(candidate, now) for candidate in subset]
        return self._balancer.choose(subset)

    def note(self, name: str, outcome: Outcome, seconds: float, now: float) -> float | None:
        """Account for a call that took so long; the seconds of the ejection that begins, if one does.

        Calls to replicas that are gone, or to an earlier life of one, count for nothing.
        """
        if now - seconds < self._since.get(name, float("inf")):
            return None
        if self._settings.kind is Balancing.PEAK_EWMA:
            if not isinstance(outcome, Failure):
                self._latencies.record(name, seconds, now, success=True)
            elif outcome.kind in EJECTING:
                self._latencies.record(name, seconds, now, success=False)
        return self._ejections.record(name, outcome, now)

    def ejected(self, now: float) -> Collection[str]:
        """Those that are left alone now, by name."""
        return self._ejections.ejected(now)

    def _clean_slates(self, backend: BackendView, now: float) -> None:
        first = not self._lives
        lives, since = {}, {}
        for replica in backend.replicas:
            name, life = str(replica.key), (replica.epoch, replica.restarts)
            lives[name] = life
            if replica.state is ReplicaState.UP and self._lives.get(name) == life:
                since[name] = self._since[name]
            else:
                since[name] = float("-inf") if first else now
                self._ejections.forget(name)
                self._latencies.forget(name)
        self._lives, self._since = lives, since

    def _set_up(self, settings: BalancerSettings) -> None:
        self._settings = settings
        self._latencies = PeakEwma()
        self._start_anew()

    def _start_anew(self) -> None:
        self._balancer: Balancer = balancer_for(self._settings.kind, self._dice)
        self._ring: Ring | None = None

    def _set_up_ejections(self, settings: EjectionSettings) -> None:
        self._ejection_settings = settings
        self._ejections = Ejections(settings)

    def _owner(self, affinity: bytes, subset: Sequence[Candidate[T]]) -> T:
        if self._ring is None:  # most backends never need one
            self._ring = Ring(self._weights)
        by_name = {candidate.name: candidate.value for candidate in subset}
        return by_name[self._ring.owner(affinity, by_name)]

    def _measured(self, candidate: Candidate[T], now: float) -> Candidate[T]:
        load = self._latencies.load(candidate.name, candidate.load, now)
        return Candidate(candidate.value, load, candidate.weight, candidate.name)
