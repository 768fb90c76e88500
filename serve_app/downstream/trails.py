"""Event ids with which a client goes on reading an answer at any ingress replica, and what they lead back to."""

import secrets
from collections.abc import Callable

from actors.core import trail
from actors.core.client import Client
from actors.core.request import Request
from actors.core.seal import NONCE_BYTES, Seal
from actors.core.trail import Trail
from actors.core.where import Where


class Trails:
    """Seals and opens trails."""

    def __init__(self, secret: bytes, token_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._seal = Seal(secret, "trail")
        self._token_bytes = token_bytes

    def lay(self, request: Request, where: Where) -> str:
        """The trail of the stream that shows this request's exchange, sealed."""
        laid = Trail(where, where.replica.backend, request.id, request.method, request.progress_token)
        return self._seal.close(trail.encode(laid), request.client.owner, self._token_bytes(NONCE_BYTES))

    def follow(self, client: Client, last_event_id: str) -> tuple[Trail, str, int] | None:
        """What an event id leads back to, its sealed form, and the number of the event; nothing if it is none."""
        split = trail.split_event_id(last_event_id)
        opened = self._seal.open(split[0], client.owner) if split is not None else None
        if split is None or opened is None:
            return None
        return trail.decode_trail(opened[0]), *split
