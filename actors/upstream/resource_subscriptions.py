"""Keeps a handshake server's subscriptions to resources what we want them to be, one request a resource.

Source: 2025-11-25, server/resources, Subscriptions.
"""

from collections import deque
from functools import partial
from typing import Final

import structlog

from actors.core import jsonrpc
from actors.upstream.asking import Asking, UpstreamError
from actors.upstream.upstream import Notified, may_be_updated, settled

WINDOW: Final = 16
"""Requests at once: a server that comes back must not be flooded with all of them before the first call."""

LIMIT: Final = 30.0
"""Seconds for each."""

log = structlog.get_logger()


class ResourceSubscriptions:
    """What the server has been asked to tell of, and what it should.

    A subscription that it refuses is not asked for again before the next change or the next session.
    """

    def __init__(self, asking: Asking, backend: str, notified: Notified) -> None:
        self._asking = asking
        self._backend = backend
        self._notified = notified
        self._wanted: frozenset[str] = frozenset()
        self._held: set[str] = set()
        self._due: deque[str] = deque()
        self._busy: set[str] = set()
        """Under way: two requests for one resource could overtake each other."""
        self._session = 0

    def want(self, uris: frozenset[str]) -> None:
        """From now on have just these."""
        self._wanted = uris
        self._due = deque(sorted(uris ^ self._held))
        self._go_on()

    def begin_again(self) -> None:
        """In a new session the server knows nothing, and updates may have been missed before it."""
        self._session += 1
        self._held.clear()
        self._busy.clear()
        self.want(self._wanted)
        for uri in sorted(self._wanted):
            self._notified(may_be_updated(uri))

    def _go_on(self) -> None:
        while self._due and len(self._busy) < WINDOW:
            uri = self._due.popleft()
            if uri not in self._busy and (uri in self._wanted) is not (uri in self._held):
                self._send(uri)

    def _send(self, uri: str) -> None:
        wanted = uri in self._wanted
        (self._held.add if wanted else self._held.discard)(uri)
        self._busy.add(uri)
        method = "resources/subscribe" if wanted else "resources/unsubscribe"
        self._asking.tell(
            method, jsonrpc.encode({"uri": uri}), limit=LIMIT, done=partial(self._done, self._session, method, uri)
        )

    def _done(self, session: int, method: str, uri: str, error: UpstreamError | None) -> None:
        if session != self._session:
            return
        self._busy.discard(uri)
        if error is None:
            self._due.append(uri)  # it may not be wanted any more by now
        else:
            log.warning("subscription_refused", backend=self._backend, method=method, reason=str(error))
            self._held.discard(uri)
        if uri in self._wanted:
            self._notified(settled(uri))
        self._go_on()
