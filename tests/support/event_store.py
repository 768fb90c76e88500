"""A bounded memory of the events of handshake-era streams, so that a client can fetch what it missed."""

from collections import deque
from itertools import count
from typing import Final

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import JSONRPCMessage

KEPT: Final = 1000
"""Events, of all streams together: more than any test sends while its client is away."""


class BoundedEventStore(EventStore):
    """The newest events, numbered across all streams; what it has forgotten cannot be resumed."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._events: deque[tuple[str, int, JSONRPCMessage | None]] = deque(maxlen=KEPT)

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep an event, or with None the mere beginning of a stream; returns its id."""
        number = next(self._numbers)
        self._events.append((stream_id, number, message))
        return str(number)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Send what followed on the stream of an event, and return that stream; None if the event is not known."""
        last = int(last_event_id) if last_event_id.isdecimal() else 0
        stream = next((stream for stream, number, _ in self._events if number == last), None)
        if stream is None:
            return None
        later = [(number, message) for of, number, message in self._events if of == stream and number > last]
        for number, message in later:
            if message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream
