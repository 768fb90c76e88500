"""Doubles of the references to Router and Metrics: they keep what they are told."""

from collections.abc import Sequence

from actors.core.load import Load
from actors.core.membership import ReplicaKey, Status
from actors.core.tally import BackendFacts
from actors.refs.gone import ActorGone


class RecordingRouter:
    """Stands where a `RouterRef` would."""

    def __init__(self) -> None:
        self.statuses: list[Status] = []
        self.beats: list[tuple[ReplicaKey, str, int, Load]] = []
        self.knows = True
        """Whether it knows what a Backend said last."""
        self.gone = False

    async def report(self, status: Status) -> None:
        if self.gone:
            raise ActorGone("RayActorError")
        self.statuses.append(status)

    async def beat(self, key: ReplicaKey, epoch: str, sequence: int, load: Load) -> bool:
        if self.gone:
            raise ActorGone("RayActorError")
        self.beats.append((key, epoch, sequence, load))
        return self.knows


class RecordingMetrics:
    """Stands where a `MetricsRef` would."""

    def __init__(self) -> None:
        self.observed: list[Sequence[BackendFacts]] = []

    def observe(self, backends: Sequence[BackendFacts]) -> None:
        self.observed.append(backends)
