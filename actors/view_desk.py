"""The Router's desk for the View: publishes soon what has changed, and gives it to whoever watches."""

import asyncio
from collections.abc import Callable
from typing import Final

from actors.core.view import View
from actors.followers import Followers

QUIET_SECONDS: Final = 0.05
"""Changes that come together are published together."""


class ViewDesk:
    """Belongs to one event loop."""

    def __init__(self, generation: str, make: Callable[[View], View | None], *, watch_seconds: float) -> None:
        """`make` gives the View that comes after another, or nothing as long as there shall be none."""
        self._make = make
        self._followers = Followers(watch_seconds)
        self._publishing: asyncio.TimerHandle | None = None
        self.view = View(generation=generation)
        """The one published last; nothing was published yet if its version is 0."""

    def publish_soon(self) -> None:
        """Something has changed."""
        if self._publishing is None:
            self._publishing = asyncio.get_running_loop().call_later(QUIET_SECONDS, self.publish)

    def publish(self) -> None:
        """Publish what there is now, at once."""
        if self._publishing is not None:
            self._publishing.cancel()
            self._publishing = None
        view = self._make(self.view)
        if view is not None:
            self.view = view
            self._followers.wake()

    async def watch(self, generation: str, version: int) -> View:
        """The View as soon as it differs from the one named, or after a while even so."""
        await self._followers.wait_while(
            lambda: self.view.version == 0 or (self.view.generation, self.view.version) == (generation, version)
        )
        return self.view
