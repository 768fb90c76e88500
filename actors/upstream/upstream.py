"""The seam between a Backend and an era: one adapter each for the handshake era and the modern era."""

from collections.abc import Callable
from typing import Final, Protocol

from actors.core.call import Call
from actors.core.jsonrpc import Message
from actors.core.listing import Facts, Listing
from actors.core.outcome import Outcome

LISTS_MAY_DIFFER: Final = Message(method="notifications/tools/list_changed")
"""What an adapter says in the server's place, when it may have missed that the server said so."""


class Listener(Protocol):
    """Who started a call hears what becomes of it. No method may block or raise."""

    def progress(self, params: bytes) -> None:
        """A `notifications/progress`; its token is ours and means nothing to the client."""

    def log(self, params: bytes) -> None:
        """A `notifications/message` that belongs to this call."""

    def finished(self, outcome: Outcome) -> None:
        """What became of the call; nothing comes after it."""


class Upstream(Protocol):
    """A server that has been spoken to."""

    facts: Facts

    def start(self, call: Call, listener: Listener) -> int:
        """Send a call; the number names it for `cancel`. Never raises and never waits."""

    def cancel(self, number: int, reason: str) -> None:
        """Tell the server to stop, and stop listening to it."""

    def stop(self) -> None:
        """End what the adapter keeps going by itself; the transport is closed by whoever opened it."""

    async def list_everything(self, known: Listing) -> Listing:
        """All pages of all lists the server has; of a list that it refuses, what was `known` before.

        Raises:
            UpstreamError: a list was not answered.
        """


Notified = Callable[[Message], None]
"""Receives the notifications of a server that belong to no call."""
