"""Feeds spoilt input to one target after another, and looks at what must never happen.

That is: an exception, an error in the log or in the event loop, an input that takes too long, an answer that went to
somebody else, and memory that grows. Whatever happens is reported with the input that did it, which the same seed makes
again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Protocol

import psutil
import structlog

from tests.fuzz.mutations import Mutator

CANARY_EVERY: Final = 25
"""Inputs between two requests of somebody who does nothing wrong and wants the right answers."""

WAIT_SECONDS: Final = 20.0
"""How long one input may take, for whatever reason."""

CPU_SECONDS: Final = 2.0
"""How much of the processor it may take; the most that was seen is a hundredth of it."""

SHOWN_BYTES: Final = 2000

MIB: Final = 1024 * 1024


class Found(AssertionError):  # noqa: N818 - what happened
    """Something that must never happen did."""


class Target(Protocol):
    """A place where bytes of strangers come in."""

    last: bytes
    """The input that was fed last."""

    async def feed(self, mutator: Mutator) -> bool:
        """Make an input and feed it; gives whether any of it was taken for what it should be.

        Raises:
            Exception: there is a bug.
        """

    async def canary(self) -> None:
        """Be somebody else, do nothing wrong, and look whether the answer is right.

        Raises:
            Exception: it is not.
        """


OpenTarget = Callable[[], AbstractAsyncContextManager[Target]]


@dataclass(frozen=True)
class Figures:
    """What one target went through."""

    name: str
    inputs: int
    taken: int
    """Inputs of which at least a part was understood: none would mean that the fuzz goes no further than the door."""
    seconds: float
    grown_bytes: int
    """Of the resident memory, from a quarter of the inputs to the last."""


def _nobody() -> None:
    """Nobody watches."""


class Incidents:
    """What went wrong behind the scenes."""

    def __init__(self) -> None:
        self.reports: list[str] = []

    def log(self, _logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Take a line of the log: an error is an incident, everything else is as it should be."""
        if method in ("error", "exception", "critical"):
            self.reports.append(repr(dict(event)))
        raise structlog.DropEvent

    def loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what the event loop has to report."""
        self.reports.append(repr(context))


async def fuzz(
    name: str,
    open_target: OpenTarget,
    count: int,
    seed: int,
    *,
    cpu_seconds: float = CPU_SECONDS,
    alive: Callable[[], None] = _nobody,
) -> Figures:
    """Feed so many inputs to a target. `alive` is called now and then, as long as none of them holds up all others.

    Raises:
        Found: something that must never happen did.
    """
    process = psutil.Process()
    began = time.monotonic()
    taken, memory, number = 0, 0, 0
    async with _watching() as incidents, open_target() as target:
        for number in range(count):
            if number == count // 4:
                memory = process.memory_info().rss
            try:
                taken += await _one(target, Mutator(Random(f"{seed}/{name}/{number}")), cpu_seconds)
                if number % CANARY_EVERY == 0:
                    alive()
                    await asyncio.sleep(0)  # a loop that never turns keeps every timer that was ever set
                    async with asyncio.timeout(WAIT_SECONDS):
                        await target.canary()
                if incidents.reports:
                    raise Found(incidents.reports[0])
            except Exception as error:
                shown = target.last[:SHOWN_BYTES]
                raise Found(f"{name}, input {number} of seed {seed}: {error!r}\nafter {shown!r}") from error
    if incidents.reports:
        raise Found(f"{name}, after input {number} of seed {seed}: {incidents.reports[0]}")
    return Figures(name, count, taken, time.monotonic() - began, process.memory_info().rss - memory)


async def _one(target: Target, mutator: Mutator, cpu_seconds: float) -> bool:
    used = time.thread_time()
    async with asyncio.timeout(WAIT_SECONDS):
        taken = await target.feed(mutator)
    used = time.thread_time() - used
    if used > cpu_seconds:
        raise Found(f"it took {used:.1f} s of CPU")
    return taken


async def turning(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds, without a pause: there are many inputs, and each answer is near.

    Raises:
        TimeoutError: it does not within half the time that an input may take.
    """
    async with asyncio.timeout(WAIT_SECONDS / 2):
        while not condition():  # noqa: ASYNC110 - as said
            await asyncio.sleep(0)


@asynccontextmanager
async def _watching() -> AsyncIterator[Incidents]:
    """Hear of what nobody waits for: errors in the log, and reports of the event loop."""
    incidents = Incidents()
    loop = asyncio.get_running_loop()
    former = structlog.get_config()
    structlog.configure(
        processors=[incidents.log], wrapper_class=structlog.BoundLogger, cache_logger_on_first_use=False
    )
    loop.set_exception_handler(incidents.loop)
    try:
        yield incidents
    finally:
        loop.set_exception_handler(None)
        structlog.configure(**former)
