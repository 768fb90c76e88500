"""Clients that keep what became of each of their calls: when it was, how long it took, and what was wrong with it."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp

from load.calls import WRONG, Era, Question, Wire, objection, reason_of
from load.compare import percentile

ANSWER_SECONDS: Final = 30.0
"""Longer than this for one answer counts as none."""

GONE: Final = 404
"""The status for a session that has ended."""

DETAIL_BYTES: Final = 200

CALLS_OF_ONE: Final = 1_000_000
"""Ids that each caller has for itself."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call and what became of it; times are those of the caller's clock, in seconds."""

    text: str
    began: float
    ended: float
    trouble: str = ""
    """Empty after the right answer; else the reason that the gateway gave, or what was wrong."""
    retry_after: float | None = None
    """Seconds after which to come back, where the answer said so."""
    detail: str = ""
    """How an answer began that was not the right one."""

    @property
    def wrong(self) -> bool:
        """Whether there was an answer that is not the one to the question."""
        return self.trouble in WRONG


class Caller:
    """One client; a legacy one has a session once it was opened."""

    _numbers = itertools.count(1)

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        tool: str,
        era: Era = Era.MODERN,
        *,
        delay_ms: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tool` says its text back, after `delay_ms` if it can wait."""
        self.wire = Wire(era, tool, first_id=next(self._numbers) * CALLS_OF_ONE, delay_ms=delay_ms)
        self._era = era
        self._http = http
        self._url = url
        self._clock = clock

    async def open(self) -> None:
        """Make ready for calls: in the legacy era, initialize a session.

        Raises:
            ConnectionError: it was refused, in whatever way.
        """
        if self._era is Era.MODERN:
            return
        self.wire.session = None
        question = self.wire.initialize()
        async with self._post(question) as response:
            body = await response.read()
            reason = objection(question, response.status, response.content_type, body)
        if reason is not None:
            raise ConnectionError(f"initialize: {reason}")
        self.wire.session = response.headers.get("mcp-session-id")
        async with self._post(self.wire.initialized()) as response:
            if response.status != 202:
                raise ConnectionError(f"initialized: status {response.status}")

    async def call(self) -> Call:
        """Call the tool once."""
        question = self.wire.call()
        began = self._clock()
        try:
            async with self._post(question) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return Call(question.text, began, self._clock(), type(error).__name__)
        trouble = objection(question, response.status, response.content_type, body)
        if trouble is None:
            return Call(question.text, began, self._clock())
        said = response.headers.get("retry-after", "")
        says_it = trouble in WRONG or response.status == GONE  # clients begin anew without reading further
        named = trouble if says_it else reason_of(response.content_type, body) or trouble
        retry_after = float(said) if said.isdigit() else None
        return Call(
            question.text, began, self._clock(), named, retry_after, body[:DETAIL_BYTES].decode(errors="replace")
        )

    def _post(self, question: Question) -> "aiohttp.client._RequestContextManager":
        return self._http.post(self._url, data=question.body, headers=question.headers)


@asynccontextmanager
async def connections() -> AsyncIterator[aiohttp.ClientSession]:
    """As many as the callers want, each kept open."""
    timeout = aiohttp.ClientTimeout(ANSWER_SECONDS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        yield http


async def keep_calling(caller: Caller, calls: list[Call], until: float, every: float = 0.0) -> None:
    """Call again and again, and add what comes of it to `calls`; who is told when to come back does so.

    Calls begin `every` so many seconds, or when the one before is over if that takes longer.
    """
    while (began := time.monotonic()) < until:
        call = await caller.call()
        calls.append(call)
        pause = every - (time.monotonic() - began) if call.retry_after is None else call.retry_after
        if pause > 0:
            await asyncio.sleep(min(pause, max(0.0, until - time.monotonic())))


def latency(calls: Iterable[Call], share: float) -> float:
    """Within so many milliseconds this share of the right answers came; not a number if there are none."""
    return percentile(sorted(call.ended - call.began for call in calls if not call.trouble), share) * 1000
