"""A call that is made twice at once if the first attempt takes long: whoever says something first has it."""

import asyncio
from typing import Final

from actors.bus.frames import Event
from actors.core.incident import Incident
from actors.core.outcome import Failure, Outcome
from actors.core.where import Where
from serve_app.flight import Flight

LOST: Final = "another replica was quicker"


class Hedge:
    """Follows two flights of one call as if they were one. For calls that only read: both may run.

    The first event or reply decides; the other flight is cancelled, and nothing is heard of it. A failure decides only
    if nothing else is under way. Belongs to one event loop.
    """

    def __init__(self, flight: Flight, after: float) -> None:
        """The second flight begins `after` so many seconds, counted from the first `next`."""
        self._first = flight
        self._after = after
        self._begins: float | None = None
        self._second_tried = False
        self._decided: Flight | None = None
        self._reading: dict[asyncio.Task[Event | Outcome], Flight] = {}

    @property
    def where(self) -> Where | None:
        """See `Flight.where`."""
        return self._leading.where

    @property
    def time_limit(self) -> float:
        """See `Flight.time_limit`."""
        return self._first.time_limit

    async def next(self) -> Event | Outcome:
        """See `Flight.next`."""
        now = asyncio.get_running_loop().time
        while self._decided is None:
            if self._begins is None:
                self._begins = now() + self._after
                self._read(self._first)
            patience = None if self._second_tried else max(0.0, self._begins - now())
            done, _ = await asyncio.wait(self._reading, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                self._second_tried = True
                second = self._first.beside()
                if second is not None:
                    self._first.befell(Incident.HEDGE)
                    self._read(second)
            for task in [task for task in self._reading if task in done]:
                flight = self._reading.pop(task)
                item = task.result()
                if not isinstance(item, Failure) or not self._reading:
                    if flight is not self._first and not isinstance(item, Failure):
                        self._first.befell(Incident.HEDGE_WON)
                    self._decide(flight)
                    return item
        return await self._decided.next()

    def answer(self, ask: int, value: bytes) -> None:
        """See `Flight.answer`."""
        self._leading.answer(ask, value)

    def cancel(self, reason: str) -> None:
        """See `Flight.cancel`."""
        for flight in self._flights:
            flight.cancel(reason)

    def leave(self) -> None:
        """See `Flight.leave`."""
        for flight in self._flights:
            flight.leave()
        for task in self._reading:
            task.cancel()

    def expire(self) -> None:
        """See `Flight.expire`."""
        for flight in self._flights:
            flight.expire()
        self.leave()

    @property
    def _leading(self) -> Flight:
        return self._decided or self._first

    @property
    def _flights(self) -> list[Flight]:
        return [self._decided] if self._decided is not None else [*self._reading.values()]

    def _read(self, flight: Flight) -> None:
        self._reading[asyncio.get_running_loop().create_task(flight.next())] = flight

    def _decide(self, flight: Flight) -> None:
        losers = dict(self._reading)
        self._reading.clear()
        self._decided = flight
        for task, loser in losers.items():
            task.cancel()
            loser.cancel(LOST)
            loser.leave()


Course = Flight | Hedge
"""How a call is followed."""
