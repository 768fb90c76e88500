"""What a person sees while the gateway starts and stops: a line for each step, moving ones only on a terminal."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from actors.core.membership import ReplicaState, Status


class Progress:
    """Writes to one console; on a terminal with a spinner for what is under way, else plain lines."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._started = clock()

    def line(self, text: str) -> None:
        """One line, with the seconds since the start."""
        self._console.print(f"{self._clock() - self._started:5.1f}s  {text}", highlight=False, markup=False)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """A step that takes a while: said when it begins, and on a terminal shown as moving."""
        self.line(text)
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(text):
            yield

    def backend(self, status: Status) -> None:
        """How one replica came out of its start."""
        name = str(status.key)
        if status.state is ReplicaState.UP and status.facts is not None and status.listing is not None:
            tools = len(status.listing.tools)
            self.line(f"backend {name} is up: {_count(tools, 'tool')}, revision {status.facts.revision}")
        else:
            self.line(f"backend {name} is not up, and is tried again: {status.detail}")

    def table(self, statuses: Sequence[Status]) -> None:
        """All replicas, one row each."""
        table = Table(box=None, pad_edge=False)
        for column in ("backend", "state", "revision", "tools", "resources", "prompts", "note"):
            table.add_column(column)
        for status in statuses:
            table.add_row(*_row(status))
        self._console.print(table, highlight=False, markup=False)


def _row(status: Status) -> Sequence[str]:
    listing, facts = status.listing, status.facts
    counts = (
        [str(len(items)) for items in (listing.tools, listing.resources, listing.prompts)] if listing else ["-"] * 3
    )
    return [str(status.key), status.state.value, facts.revision if facts else "-", *counts, status.detail]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
