"""What waits to be told on one open stream: each thing once, however often it happened."""

import asyncio
from typing import Final

from actors.core import jsonrpc
from actors.core.jsonrpc import Object

LIST_CHANGED: Final = "notifications/{}/list_changed"
UPDATED: Final = "notifications/resources/updated"
COMPLETED: Final = "notifications/elicitation/complete"
"""Source: 2025-11-25, client/elicitation, Completion Notifications for URL Mode Elicitation."""


class Announcements:
    """Coalesces notifications until they are taken; holds no more than there are lists and watched resources."""

    def __init__(self) -> None:
        self._pending: dict[str, Object] = {}
        self._waiting = asyncio.Event()
        self.closed = False
        """Whether nothing more will come."""

    def list_changed(self, name: str) -> None:
        """One of the lists of `offer.CHANGES` is another now."""
        self._put(LIST_CHANGED.format(name), "", {})

    def updated(self, uri: str, params: Object) -> None:
        """A resource has another content now; `params` are the server's, but for the URI."""
        self._put(UPDATED, uri, {**params, "uri": jsonrpc.raw(uri)})

    def completed(self, elicitation: str) -> None:
        """The user is done with the page of an elicitation, of this id."""
        self._put(COMPLETED, elicitation, {"elicitationId": jsonrpc.raw(elicitation)})

    def close(self) -> None:
        """Tell what waits, and no more."""
        self.closed = True
        self._waiting.set()

    async def next(self, seconds: float) -> list[tuple[str, Object]]:
        """The method and the parameters of all that waits, as soon as there is any; nothing after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._waiting.wait()
        except TimeoutError:
            return []
        taken = [(key.partition(" ")[0], params) for key, params in self._pending.items()]
        self._pending.clear()
        if not self.closed:
            self._waiting.clear()
        return taken

    def _put(self, method: str, about: str, params: Object) -> None:
        self._pending[f"{method} {about}"] = params
        self._waiting.set()
