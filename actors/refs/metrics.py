"""What you hold in order to talk to Metrics."""

from collections.abc import Sequence
from typing import Any

from actors.core.tally import BackendFacts, Report
from actors.refs.asking import ask, tell


class MetricsRef:
    """How everyone talks to Metrics."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def report(self, report: Report) -> None:
        """See `Metrics.report`.

        Raises:
            ActorGone: it has not heard; the same report may be sent again.
        """
        await ask(self._handle.report, report)

    def observe(self, backends: Sequence[BackendFacts]) -> None:
        """See `Metrics.observe`."""
        tell(self._handle.observe, backends)

    async def render(self) -> bytes:
        """See `Metrics.render`.

        Raises:
            ActorGone: there is nothing to show.
        """
        page: bytes = await ask(self._handle.render)
        return page
