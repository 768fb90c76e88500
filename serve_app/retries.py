"""What the calls of one ingress replica share in order to be tried again: a budget for each backend, clock and dice."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from actors.core.retry_budget import RetryBudget
from actors.core.view import BackendView
from serve_app.tallying import Note, nowhere

MAX_BACKENDS: Final = 1024
"""Budgets kept at once. One more drops the oldest, which begins anew if its backend is still in use."""


def _nobody(_backend: str) -> None:
    """The default of `wake`."""


class Retries:
    """Belongs to one event loop."""

    def __init__(
        self,
        dice: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wake: Callable[[str], None] = _nobody,
        note: Note = nowhere,
    ) -> None:
        """`dice` gives numbers from 0 up to 1, `clock` is monotonic and in seconds.

        `wake` has a replica of a backend started that has none because nobody called for long. `note` counts what
        befalls calls.
        """
        self.dice = dice
        self.clock = clock
        self.sleep = sleep
        self.wake = wake
        self.note = note
        self._budgets: dict[str, RetryBudget] = {}

    @property
    def backends(self) -> int:
        """How many have a budget now."""
        return len(self._budgets)

    def begin(self, backend: BackendView) -> RetryBudget:
        """Account for a call to a backend; gives the budget that its retries are paid from."""
        budget = self._budgets.get(backend.name)
        if budget is None:
            if len(self._budgets) >= MAX_BACKENDS:
                del self._budgets[next(iter(self._budgets))]
            budget = self._budgets[backend.name] = RetryBudget(backend.retry.budget)
        budget.ratio = backend.retry.budget  # another one after a reload
        budget.begin(self.clock())
        return budget
