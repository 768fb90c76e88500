"""The questions of one exchange: open until they are answered or withdrawn, and none answered twice."""

from collections.abc import Iterable, Iterator
from typing import Final

from actors.bus.reader import Kept

MAX_DROPPED: Final = 256
"""Questions remembered after they were withdrawn; who answers an older one is told that it came too late."""


class Asks:
    """Knows which questions are open, and which ended without an answer."""

    __slots__ = ("_dropped", "_open")

    def __init__(self) -> None:
        self._open: dict[int, Kept] = {}
        self._dropped: dict[int, None] = {}
        """Withdrawn, by age; their answers have nobody to go to, and are not held against whoever brings them."""

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def __iter__(self) -> Iterator[Kept]:
        """Those which are open."""
        return iter(self._open.values())

    def __contains__(self, ask: int) -> bool:
        """Whether it is open."""
        return ask in self._open

    def add(self, event: Kept) -> None:
        """A question is asked."""
        self._open[event.seq] = event

    def answer(self, ask: int) -> bool:
        """Take the answer to a question; false if it is not open."""
        return self._open.pop(ask, None) is not None

    def redeem(self, asks: Iterable[int]) -> set[int] | None:
        """Take answers to several, all or none: those of them which are open, or nothing if one had its answer before.

        A withdrawn question is taken like any other, once.
        """
        named = set(asks)
        if any(ask not in self._open and ask not in self._dropped for ask in named):
            return None
        for ask in named:
            self._dropped.pop(ask, None)
        return {ask for ask in named if self._open.pop(ask, None) is not None}

    def withdraw(self, ask: int) -> Kept | None:
        """Nobody wants the answer any more; the event that asked, if it was open."""
        event = self._open.pop(ask, None)
        if event is not None:
            self._dropped[ask] = None
            if len(self._dropped) > MAX_DROPPED:
                del self._dropped[next(iter(self._dropped))]
        return event

    def withdraw_all(self) -> None:
        """Nobody wants any answer any more."""
        for ask in list(self._open):
            self.withdraw(ask)
