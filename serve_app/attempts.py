"""The attempts at one call that any replica may have: where each goes, and whether there is another."""

from collections.abc import Callable
from typing import Final

import structlog

from actors.bus.dialer import CallerLink
from actors.core.incident import Incident
from actors.core.membership import ReplicaKey, ReplicaState
from actors.core.outcome import NEVER_SENT, Failure, FailureKind
from actors.core.retry import MAY_HAVE_RUN, Attempt, GiveUp, next_step
from actors.core.view import BackendView
from serve_app.links import Links
from serve_app.retries import Retries

NO_LINK: Final = "there is no link to it"
ASLEEP: Final = "it had been idle, and did not start in time"

log = structlog.get_logger()

Place = tuple[ReplicaKey, CallerLink]
"""A replica, and the link to it."""


class Attempts:
    """Chooses a replica for each attempt, waits where there is none yet, and decides after a failure."""

    def __init__(
        self,
        links: Links,
        backend: BackendView,
        retries: Retries,
        time_limit: float,
        *,
        affinity: bytes | None,
        repeatable: bool,
    ) -> None:
        """`time_limit` is how long the call may take with all its attempts, in seconds."""
        self._links = links
        self._backend = backend
        self._retries = retries
        self._time_limit = time_limit
        self._affinity = affinity
        self._repeatable = repeatable
        self._budget = retries.begin(backend)
        self._began = retries.clock()
        self._number = 1
        self._tried: list[ReplicaKey] = []
        self._sent = False
        self._not_before = self._began
        self._wait_ends: float | None = None
        self._woken = False

    @property
    def time_left(self) -> float:
        """Seconds."""
        return self._time_limit - (self._retries.clock() - self._began)

    async def place(self) -> Place | Failure:
        """Where the attempt goes, as soon as there is such a place. May be cancelled, and called again."""
        if self._number > 1 and (pause := self._not_before - self._retries.clock()) > 0:
            await self._retries.sleep(pause)
            self._not_before = 0.0
        place = self._choose()
        if place is None and not self._tried:
            await self._wait()
            place = self._choose()
        if place is None:
            detail = NO_LINK if self._backend.up else ASLEEP if self._is_asleep else self._backend.detail
            return Failure(FailureKind.UNAVAILABLE, self._backend.name, detail)
        self._tried.append(place[0])
        self._sent = True
        return place

    def again(self, failure: Failure) -> bool:
        """Whether there is another attempt after one that failed; if so, `place` is to be called next."""
        if failure.kind not in NEVER_SENT and failure.kind not in MAY_HAVE_RUN:
            return False
        self._backend = self._links.latest(self._backend)
        attempt = Attempt(
            failure,
            self._number,
            repeatable=self._repeatable,
            others=self._links.takes_calls(self._backend, self._tried),
            hope=self._is_expected,
            time_left=self.time_left,
            sent=self._sent,
        )
        now, reason = self._retries.clock(), failure.kind.value
        affordable, dice = self._budget.allows(now), self._retries.dice()
        step = next_step(self._backend.retry, attempt, affordable=affordable, dice=dice)
        if isinstance(step, GiveUp):
            log.debug("call_given_up", backend=failure.backend, reason=reason, why=step.reason, attempts=self._number)
            return False
        log.debug("call_retried", backend=failure.backend, reason=reason, attempt=self._number + 1)
        self._retries.note(Incident.RETRY, self._backend.name, reason)
        if step.charged:
            self._budget.spend(now)
        if not step.elsewhere:
            self._tried.clear()
        self._number += 1
        self._sent = False
        self._not_before = now + step.delay
        self._wait_ends = None
        self._woken = False
        return True

    def beside(self) -> Place | None:
        """A place for a second attempt while the first runs; nothing without another replica, or a budget for it."""
        now = self._retries.clock()
        place = self._choose() if self._budget.allows(now) else None
        if place is not None:
            self._budget.spend(now)
            self._tried.append(place[0])
        return place

    def _choose(self) -> Place | None:
        return self._links.choose(self._backend, self._tried, affinity=self._affinity)

    async def _wait(self) -> None:
        """Wait for a replica that takes calls: as long as the link to it may take, then to start one that is asleep."""
        if self._wait_ends is None:
            self._wait_ends = self._limit(self._links.patience(self._backend))
        if not self._woken:
            await self._wait_until(lambda: self._is_settled() or self._is_asleep, self._wait_ends)
            if self._is_asleep:
                self._retries.wake(self._backend.name)
                self._woken, self._wait_ends = True, self._limit(self._backend.start_timeout)
        await self._wait_until(self._is_settled, self._wait_ends)

    def _limit(self, seconds: float) -> float:
        """When a wait of so long is over, at the latest."""
        return self._retries.clock() + min(seconds, self.time_left)

    async def _wait_until(self, condition: Callable[[], bool], end: float) -> None:
        await self._links.wait_until(condition, end - self._retries.clock())

    def _is_settled(self) -> bool:
        self._backend = self._links.latest(self._backend)
        return self._links.takes_calls(self._backend) or not self._is_expected

    @property
    def _is_expected(self) -> bool:
        """Whether a replica is up or starts: one that failed to may not come for long."""
        if not self._links.knows(self._backend):
            return False
        states = [replica.state for replica in self._backend.replicas]
        return ReplicaState.UP in states or ReplicaState.STARTING in states or self._is_asleep

    @property
    def _is_asleep(self) -> bool:
        replicas = self._backend.replicas
        return self._backend.wakes and all(replica.state is ReplicaState.DRAINING for replica in replicas)
