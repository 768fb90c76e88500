"""One downstream request on its way through the bus: chosen, opened, and followed wherever it must be followed."""

import secrets
from collections.abc import Callable
from typing import Final

from actors.bus.attachment import Attachment, LinkLost
from actors.bus.dialer import CallerLink
from actors.bus.frames import Event
from actors.core.call import Call
from actors.core.membership import ReplicaKey
from actors.core.outcome import NEVER_SENT, Failure, FailureKind, Outcome
from actors.core.view import BackendView
from serve_app.links import Links

ID_BYTES: Final = 16


class Flight:
    """Follows a call to its outcome: to another replica if the first never saw it, over a new link if one breaks.

    A call that may have run is never opened twice: after a broken link the same exchange is attached to.
    """

    def __init__(
        self,
        links: Links,
        backend: BackendView,
        call: Call,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._links = links
        self._backend = backend
        self._call = call
        self._token_bytes = token_bytes
        self._tried: list[ReplicaKey] = []
        self._exchange_id = b""
        self._attachment: Attachment | None = None

    async def next(self) -> Event | Outcome:
        """The next event, or the outcome, which is the last."""
        while True:
            attachment = self._attachment or await self._open()
            if attachment is None:
                return self._unavailable()
            item = await attachment.next()
            if isinstance(item, LinkLost):
                if not await self._attach_again(attachment.last_seq):
                    return Failure(FailureKind.DISCONNECTED, self._backend.name, "the link to it broke")
            elif isinstance(item, Failure) and item.kind in NEVER_SENT and self._has_others():
                self._attachment = None
            else:
                return item

    def cancel(self, reason: str) -> None:
        """Nobody wants the outcome any more."""
        if self._attachment is not None:
            self._attachment.cancel(reason)

    def leave(self) -> None:
        """Read no further; the call goes on."""
        if self._attachment is not None:
            self._attachment.detach()

    async def _open(self) -> Attachment | None:
        chosen = self._links.choose(self._backend, self._tried)
        if chosen is None and not self._tried:
            await self._links.wait_for_any(self._backend)
            chosen = self._links.choose(self._backend)
        if chosen is None:
            return None
        key, link = chosen
        self._tried.append(key)
        self._exchange_id = self._token_bytes(ID_BYTES)
        self._attachment = link.open(self._call, self._exchange_id)
        return self._attachment

    async def _attach_again(self, after: int) -> bool:
        link: CallerLink | None = await self._links.again(self._tried[-1])
        if link is None:
            return False
        self._attachment = link.attach(self._exchange_id, after)
        return True

    def _has_others(self) -> bool:
        return self._links.choose(self._backend, self._tried) is not None

    def _unavailable(self) -> Failure:
        detail = "there is no link to it" if self._backend.up else self._backend.detail
        return Failure(FailureKind.UNAVAILABLE, self._backend.name, detail)
