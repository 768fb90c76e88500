"""A bounded line of those who wait for their turn: the cheapest first, and within a class the one who came first."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T", bound=Hashable)

SPARE: Final = 64
"""Notes of those who have left that are kept at least, before the notes are gone through."""


class WaitingLine(Generic[T]):
    """Holds at most `limit` entrants, each until its turn, until it is displaced or leaves, or until its time is over.

    An entrant is in the line once. A class is a number, less is cheaper. Times are from one clock, in seconds.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._classes: dict[int, OrderedDict[T, None]] = {}
        """Those of each class, the one who came first at the front; no class is empty."""
        self._places: dict[T, _Place] = {}
        self._ends: list[tuple[float, int, T]] = []
        """A heap of when each one's time is over; those who left are dropped when they come to the front, or by and
        by."""
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[T]:
        """All of them, in the order in which their turn would come."""
        for cost in sorted(self._classes):
            yield from self._classes[cost]

    @property
    def next_end(self) -> float | None:
        """When the first of them has waited for long enough; nothing if nobody waits."""
        while self._ends and not self._is_current(self._ends[0]):
            heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def enter(self, entrant: T, *, cost: int, until: float) -> T | None:
        """Let one in, and give who has to go for that. Rungs, in order; the first which decides wins.

        1. As long as there is room nobody has to go.
        2. If the most expensive class in the line is no more expensive than the entrant, it is the entrant itself.
        3. It is the one who came last of the most expensive class.
        """
        displaced: T | None = None
        if len(self._places) >= self._limit:
            dearest = max(self._classes, default=cost)
            if dearest <= cost:
                return entrant
            displaced = next(reversed(self._classes[dearest]))
            self.leave(displaced)
        number = next(self._numbers)
        self._places[entrant] = _Place(cost, number)
        self._classes.setdefault(cost, OrderedDict())[entrant] = None
        heappush(self._ends, (until, number, entrant))
        self._tidy()
        return displaced

    def next(self) -> T | None:
        """Take out whose turn it is."""
        if not self._classes:
            return None
        first = next(iter(self._classes[min(self._classes)]))
        self.leave(first)
        return first

    def leave(self, entrant: T) -> bool:
        """Take one out; gives whether it was in."""
        place = self._places.pop(entrant, None)
        if place is None:
            return False
        of_its_class = self._classes[place.cost]
        del of_its_class[entrant]
        if not of_its_class:
            del self._classes[place.cost]
        return True

    def expire(self, now: float) -> list[T]:
        """Take out those whose time is over, the longest over first."""
        over = []
        while (end := self.next_end) is not None and end <= now:
            over.append(heappop(self._ends)[2])
            self.leave(over[-1])
        return over

    def clear(self) -> list[T]:
        """Take out all, in the order of their turns."""
        everyone = list(self)
        self._classes.clear()
        self._places.clear()
        self._ends.clear()
        return everyone

    def _is_current(self, end: tuple[float, int, T]) -> bool:
        place = self._places.get(end[2])
        return place is not None and place.number == end[1]

    def _tidy(self) -> None:
        if len(self._ends) > 2 * len(self._places) + SPARE:
            self._ends = [end for end in self._ends if self._is_current(end)]
            heapify(self._ends)


class _Place(NamedTuple):
    """Where an entrant stands; each entry has another number."""

    cost: int
    number: int
