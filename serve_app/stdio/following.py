"""A stream that is fetched again whenever it ends, from where it ended (2025-11-25, basic/transports)."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from actors.core.backoff import Backoff
from actors.core.outcome import FailureKind
from actors.transports.http_answer import EVENT_STREAM, media_type
from actors.transports.http_failure import Unanswered
from serve_app.stdio.endpoint import TROUBLES, Endpoint
from serve_app.stdio.relay import Relay

BACKOFF: Final = Backoff(first=0.5, cap=15.0)
MAX_WAIT_SECONDS: Final = 60.0
"""A gateway may ask for more; a stream that long away would miss too much."""
MIN_WAIT_SECONDS: Final = 0.1
"""A gateway may ask to be asked again at once; this is what at once means."""

_PASSING: Final = frozenset({408, 409, 429, 500, 502, 503, 504})
"""Statuses after which the same request may do better later; 409 says that the broken stream is not yet known to be."""

_FINAL: Final = frozenset({FailureKind.PROTOCOL, FailureKind.TOO_LARGE, FailureKind.UNSUPPORTED})
"""What another attempt does not mend, if no status says why a stream ended."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """How waits are waited: `sleep` takes seconds, `dice` gives a number from 0 up to 1."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    dice: Callable[[], float] = random.random

    async def take(self, relay: Relay, failures: int) -> None:
        """Wait as long as the gateway asked for; longer, and not all at the same time, while attempts fail."""
        asked = relay.retry_seconds
        own = BACKOFF.delay(max(0, failures - 1), self.dice())
        seconds = own if asked is None else max(asked, own if failures else 0.0)
        await self.sleep(min(MAX_WAIT_SECONDS, max(MIN_WAIT_SECONDS, seconds)))


USUAL_PAUSES: Final = Pauses()


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Why a stream gives no more."""

    reason: Unanswered
    status: int = 0
    """Of the response that refused to go on; 0 if none did."""
    accepted: bool = False
    """Whether the gateway ever gave this stream."""


async def follow(
    endpoint: Endpoint,
    headers: Mapping[str, str],
    relay: Relay,
    pauses: Pauses,
    *,
    side: bool,
    max_failures: int | None = None,
) -> StreamEnd | None:
    """Read until the relay has its response, which gives nothing, or the stream cannot go on.

    `max_failures` limits attempts in a row that bring no event; without it only the gateway ends the stream.
    """
    failures = 0
    accepted = False
    while True:
        heard = relay.heard
        status = 0
        try:
            async with endpoint.send("GET", {**headers, **_after(relay)}, side=side) as response:
                status = response.status
                if status < 300 and media_type(response) == EVENT_STREAM:
                    accepted = True
                    reason = await relay.read_events(response)
                elif status < 300:
                    reason = Unanswered(FailureKind.PROTOCOL, "it answered with no stream of events")
                else:
                    reason = endpoint.refused(response)
        except TROUBLES as error:
            reason = endpoint.trouble(error)
        if reason is None:
            return None
        failures = failures + 1 if relay.heard == heard else 0
        final = status not in _PASSING if status >= 300 else reason.kind in _FINAL
        if final or failures == max_failures:
            return StreamEnd(reason, status, accepted)
        await pauses.take(relay, failures)


def _after(relay: Relay) -> dict[str, str]:
    return {"Last-Event-ID": relay.last_event_id} if relay.last_event_id else {}
