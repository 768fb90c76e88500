"""How far the batches of each source are written, so that no event is written twice."""

from typing import Final

from actors.core.audit.batch import Batch

MAX_SOURCES: Final = 1000
"""Whose last batch is remembered, so that it is not written twice; each start of a replica is a new source."""


class Sources:
    """Of one log. A source never goes back to a batch before its last."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}
        """The number of its last batch, and how many events of that are written. Who was silent longest is first."""

    def unwritten(self, batch: Batch) -> tuple[bytes, ...]:
        """What is not written yet of a batch."""
        number, count = self._last.get(batch.source, (0, 0))
        if batch.sequence < number:
            return ()
        return batch.events[count if batch.sequence == number else 0 :]

    def wrote(self, batch: Batch) -> None:
        """All of a batch is written."""
        self._remember(batch.source, batch.sequence, len(batch.events))

    def found(self, source: str, sequence: int) -> None:
        """The next event in the log is of this batch of this source."""
        number, count = self._last.get(source, (0, 0))
        self._remember(source, sequence, count + 1 if sequence == number else 1)

    def _remember(self, source: str, sequence: int, count: int) -> None:
        self._last.pop(source, None)
        self._last[source] = sequence, count
        if len(self._last) > MAX_SOURCES:
            del self._last[next(iter(self._last))]
