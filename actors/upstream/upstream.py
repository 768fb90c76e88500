"""The seam between a Backend and an era: one adapter each for the handshake era and the modern era."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from actors.core import jsonrpc
from actors.core.call import Call
from actors.core.jsonrpc import Message
from actors.core.listing import Facts, Listing
from actors.core.outcome import Outcome

LISTS_MAY_DIFFER: Final = Message(method="notifications/tools/list_changed")
"""What an adapter says in the server's place, when it may have missed that the server said so."""

UPDATED: Final = "notifications/resources/updated"

SETTLED: Final = "only1mcp/settled"
"""What an adapter says to its own side, never heard from a server: that one has said whether it tells of a resource."""

CallLater = Callable[[float, Callable[[], None]], asyncio.TimerHandle]
"""Calls a function after so many seconds."""


def may_be_updated(uri: str) -> Message:
    """What an adapter says of a resource in the server's place, when it may have missed that the server said so."""
    return Message(method=UPDATED, params=jsonrpc.raw({"uri": uri}))


def settled(uri: str) -> Message:
    """What an adapter says of a resource when the server has answered the request to tell of it."""
    return Message(method=SETTLED, params=jsonrpc.raw({"uri": uri}))


class Listener(Protocol):
    """Who started a call hears what becomes of it. No method may block or raise."""

    def progress(self, params: bytes) -> None:
        """A `notifications/progress`; its token is ours and means nothing to the client."""

    def log(self, params: bytes) -> None:
        """A `notifications/message` that belongs to this call."""

    def ask(self, data: bytes, answered: Callable[[bytes], None]) -> int | None:
        """A question of the server to the client, as `core.ask` writes it; gives a number that names it.

        `answered` gets the answer, as `core.ask` writes that, at most once and never before this returns; it may come
        when the call is over. Nothing is given, and `answered` is never called, if the client cannot be asked.
        """

    def withdraw(self, number: int) -> None:
        """The server does not want to know any more; a question that was answered meanwhile is let be."""

    def finished(self, outcome: Outcome) -> None:
        """What became of the call; nothing comes after it."""


class Upstream(Protocol):
    """A server that has been spoken to."""

    facts: Facts

    @property
    def replies(self) -> int:
        """How many calls the server has answered, with a result or an error: a sign of life that nobody asked for."""

    async def check(self, limit: float) -> None:
        """Ask the server for a sign of life, and for little work; `limit` in seconds.

        Raises:
            UpstreamError: it refused, which is one, or gave none.
        """

    def start(self, call: Call, listener: Listener) -> int:
        """Send a call; the number names it for `cancel`. Never raises and never waits."""

    def cancel(self, number: int, reason: str) -> None:
        """Tell the server to stop, and stop listening to it."""

    def stop(self) -> None:
        """End what the adapter keeps going by itself; the transport is closed by whoever opened it."""

    def subscribe(self, uris: frozenset[str]) -> None:
        """From now on hear of updates of just these resources, for as long as the conversation lasts.

        They are notified as `UPDATED`, and as `SETTLED` when the server has agreed or refused to tell of one. After a
        time in which an update may have been missed, each resource counts as updated once. A server that offers no
        subscriptions is not bothered.
        """

    async def list_everything(self, known: Listing) -> Listing:
        """All pages of all lists the server has; of a list that it refuses, what was `known` before.

        Raises:
            UpstreamError: a list was not answered.
        """


Notified = Callable[[Message], None]
"""Receives the notifications of a server that belong to no call."""
