"""Doubles of the references to Router and Metrics: they keep what they are told."""

from collections.abc import Sequence

from actors.core.link_keys import LinkKeys
from actors.core.link_refusal import Refused
from actors.core.load import Load
from actors.core.membership import Heard, ReplicaKey, Status
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
        self.ring = LinkKeys()
        """The link keys that it was told."""
        self.link_keys_said: list[int] = []
        """The newest that the Backend had, at each beat."""
        self.refused: Refused = ()
        """What it said last of connections that were no links."""

    async def report(self, status: Status) -> None:
        if self.gone:
            raise ActorGone("RayActorError")
        self.statuses.append(status)

    async def beat(
        self, key: ReplicaKey, epoch: str, sequence: int, load: Load, link_key: int, refused: Refused
    ) -> Heard:
        if self.gone:
            raise ActorGone("RayActorError")
        self.beats.append((key, epoch, sequence, load))
        self.link_keys_said.append(link_key)
        self.refused = refused
        return Heard(self.knows, self.ring.number)

    async def link_keys(self) -> LinkKeys:
        if self.gone:
            raise ActorGone("RayActorError")
        return self.ring


class RecordingMetrics:
    """Stands where a `MetricsRef` would."""

    def __init__(self) -> None:
        self.observed: list[Sequence[BackendFacts]] = []

    def observe(self, backends: Sequence[BackendFacts]) -> None:
        self.observed.append(backends)
