"""What you hold in order to talk to one Backend."""

from typing import Any

import ray

from actors.core.membership import ReplicaKey, Status
from actors.core.settings import BackendSettings
from actors.refs.asking import CALL_LIMIT, ask


class BackendRef:
    """How the command talks to one Backend. Calls do not go this way: they travel on the bus."""

    def __init__(
        self,
        key: ReplicaKey,
        handle: Any,
        settings: BackendSettings | None = None,
        slot: int = 0,
        *,
        shared: bool = False,
    ) -> None:
        """`handle` is that of the process which holds it, `shared` says whether with others.

        Without `settings` it can be talked to, and not begun.
        """
        self.key = key
        self._handle = handle
        self._settings = settings
        self._slot = slot
        self._shared = shared

    async def begin(self, limit: float) -> Status:
        """See `BackendHost.begin`; `limit` in seconds.

        Raises:
            ActorGone: its process did not start.
        """
        status: Status = await ask(self._handle.begin, self.key, self._settings, self._slot, limit=limit)
        return status

    async def trip(self) -> None:
        """See `Backend.trip`.

        Raises:
            ActorGone: it has not heard.
        """
        await ask(self._handle.trip, self.key)

    async def reset(self) -> None:
        """See `Backend.reset`.

        Raises:
            ActorGone: it has not heard.
        """
        await ask(self._handle.reset, self.key)

    async def stop(self, drain_seconds: float) -> None:
        """See `Backend.stop`.

        Raises:
            ActorGone: it is not there to be stopped.
        """
        await ask(self._handle.stop, self.key, drain_seconds, limit=drain_seconds + CALL_LIMIT)

    def end(self) -> None:
        """End its process, unless it shares that: nobody wants it any more."""
        if not self._shared:
            ray.kill(self._handle, no_restart=True)
