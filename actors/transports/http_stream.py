"""A stream of events that is fetched again whenever it ends, from where it ended (2025-11-25, basic/transports)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from multidict import CIMultiDict

from actors.core.backoff import Backoff
from actors.core.outcome import FailureKind
from actors.transports.http_answer import EVENT_STREAM, AnswerReader, media_type
from actors.transports.http_failure import LOST, Unanswered, of_error, of_redirect, of_status
from actors.transports.http_pool import HttpPool

BACKOFF: Final = Backoff(first=1.0, cap=30.0)
MAX_WAIT_SECONDS: Final = 60.0
"""A server may ask for more; a stream that long away would miss too much."""
MIN_WAIT_SECONDS: Final = 0.1
"""A server may ask to be asked again at once; this is what at once means."""

_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may do better later."""


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Why a stream gives no more."""

    reason: Unanswered
    status: int = 0
    """Of the response that refused to go on; 0 if none did."""
    final: bool = True
    """Whether asking again is of no use."""


class EventStream:
    """One stream, over as many GET requests as it takes.

    `headers` makes those of one request from the event id to go on after. `sleep` takes seconds, `dice` gives a
    number from 0 up to 1.
    """

    def __init__(
        self,
        pool: HttpPool,
        headers: Callable[[str], CIMultiDict[str]],
        *,
        sleep: Callable[[float], Awaitable[None]],
        dice: Callable[[], float],
    ) -> None:
        self.accepted = False
        """Whether the server ever gave this stream."""
        self._pool = pool
        self._headers = headers
        self._sleep = sleep
        self._dice = dice

    async def follow(self, reader: AnswerReader, *, max_failures: int | None) -> StreamEnd | None:
        """Read until the reader is answered, which gives nothing, or the stream cannot go on.

        `max_failures` limits attempts in a row that bring no event; without it only the server ends the stream.
        """
        failures = 0
        while True:
            heard = reader.heard
            end = await self._fetch(reader)
            if reader.answered:
                return None
            failures = failures + 1 if reader.heard == heard else 0
            if end.final or failures == max_failures:
                return end
            await self.pause(reader, failures)

    async def pause(self, reader: AnswerReader, failures: int = 0) -> None:
        """Wait as long as the server asked for; longer, and not all at the same time, while attempts fail."""
        asked = reader.retry_seconds
        own = BACKOFF.delay(max(0, failures - 1), self._dice())
        seconds = own if asked is None else max(asked, own if failures else 0.0)
        await self._sleep(min(MAX_WAIT_SECONDS, max(MIN_WAIT_SECONDS, seconds)))

    async def _fetch(self, reader: AnswerReader) -> StreamEnd:
        try:
            async with self._pool.request("GET", self._headers(reader.last_event_id)) as response:
                status = response.status
                if status >= 400:
                    return StreamEnd(of_status(status), status, final=status not in _PASSING)
                if status >= 300:
                    return StreamEnd(of_redirect(response.url, response.headers.get("Location", "")), status)
                if media_type(response) != EVENT_STREAM:
                    return StreamEnd(Unanswered(FailureKind.PROTOCOL, "it answered with no stream of events"), status)
                self.accepted = True
                trouble = await reader.read_events(response)
        except LOST as error:
            return StreamEnd(of_error(error, self._pool.url), final=False)
        return StreamEnd(trouble or Unanswered(FailureKind.DISCONNECTED, "its stream ended"), final=False)
