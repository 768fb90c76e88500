"""The ids under which clients know tasks: sealed texts that say which replica of which backend has the task.

Whoever has the id of a task can read and end it, so each is sealed for the principal at the endpoint it was given to;
nothing is remembered here (SEP-2663, Security Implications). A task always has the same id for the same principal,
because clients compare and store them.
"""

from typing import Final, NamedTuple

import msgspec

from actors.core.client import Client
from actors.core.membership import ReplicaKey
from actors.core.seal import Seal

MAX_ID_BYTES: Final = 2048
"""Of a server's own id, in UTF-8. Sealed it stands in a header with others, and the whole head of a request may be
refused from 8 KiB on."""


class OwnTask(NamedTuple):
    """A task, and where it is."""

    replica: ReplicaKey
    task_id: str
    """As its server calls it."""


class _Payload(msgspec.Struct, frozen=True, array_like=True):
    backend: str
    index: int
    task_id: str


_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(_Payload)


class TaskIds:
    """Makes the ids that clients see, and reads them."""

    def __init__(self, secret: bytes) -> None:
        self._seal = Seal(secret, "task id")

    def wrap(self, client: Client, task: OwnTask) -> str | None:
        """The id of a task for this client: letters, digits, `-` and `_`. Nothing if the server's own is too long."""
        if len(task.task_id.encode()) > MAX_ID_BYTES:
            return None
        payload = _encode(_Payload(task.replica.backend, task.replica.index, task.task_id))
        return self._seal.close_alike(payload, client.account)

    def unwrap(self, client: Client, text: str) -> OwnTask | None:
        """The task that this client knows by an id; nothing if the id was not given to it."""
        opened = self._seal.open(text, client.account)
        if opened is None:
            return None
        payload = _decoder.decode(opened[0])
        return OwnTask(ReplicaKey(payload.backend, payload.index), payload.task_id)
