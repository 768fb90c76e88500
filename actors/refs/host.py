"""What you hold in order to talk to a process that several Backends share."""

from typing import Any

import ray

from actors.core.membership import ReplicaKey
from actors.refs.asking import ask


class HostRef:
    """How the command talks to a process that several Backends share."""

    def __init__(self, name: str, handle: Any) -> None:
        self.name = name
        self.handle = handle

    async def holds(self, key: ReplicaKey) -> bool:
        """See `BackendHost.holds`.

        Raises:
            ActorGone: it is not there to be asked.
        """
        return bool(await ask(self.handle.holds, key))

    def end(self) -> None:
        """End the process: nobody wants it any more."""
        ray.kill(self.handle, no_restart=True)
