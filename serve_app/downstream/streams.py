"""The streams on which sessions hear what belongs to no request: changed lists, subscribed resources, pages left.

Source: 2025-11-25, basic/transports, Listening for Messages from the Server. An event id has the digests of the lists
as the client knows them, so that any ingress replica can tell what changed since; resources that may have changed
unnoticed are announced once more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from actors.core import jsonrpc
from actors.core.client import Client
from actors.core.offer import CHANGES
from actors.core.session_state import SessionState
from serve_app.downstream.passage import PRIMED_SINCE
from serve_app.downstream.responder import KEEP_ALIVE_SECONDS, Responder
from serve_app.downstream.standing import Standings, standing
from serve_app.downstream.visit import Visit
from serve_app.downstream.watch import Watch, Watches
from serve_app.sessions import Sessions

PREFIX: Final = "lists-"


class Streams:
    """Keeps the streams of sessions; of several of one session the latest is told, as each message goes on one only."""

    def __init__(
        self,
        watches: Watches,
        sessions: Sessions,
        standings: Standings,
        *,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        self.standings: Final = standings
        """Of all connections that are open."""
        self._watches = watches
        self._sessions = sessions
        self._keep_alive_seconds = keep_alive_seconds
        self._told: dict[bytes, Watch] = {}

    @property
    def full(self) -> bool:
        """Whether no more streams can be opened."""
        return self._watches.full

    @property
    def closing(self) -> bool:
        """Whether the gateway is about to end."""
        return self._watches.closing

    def changed(self, nonce: bytes, state: SessionState | None) -> None:
        """A session has other subscriptions, or has ended."""
        watch = self._told.get(nonce)
        if watch is None:
            return
        if state is None:
            watch.announcements.close()
        else:
            watch.follow_only(state.subscriptions, missed=False)
            watch.complete(state.completed)

    async def begun(self, nonce: bytes) -> None:
        """Wait a little until what a session has subscribed to is followed, if its stream is open here."""
        watch = self._told.get(nonce)
        if watch is not None:
            await watch.begun()

    async def run(
        self, responder: Responder, client: Client, last_event_id: str = "", visit: Visit | None = None
    ) -> None:
        """Tell a session's client what changes, until the session ends; cancelled when the client goes away.

        `last_event_id` is of an earlier stream of this kind. With `visit` it ends when who came so is not welcome any
        more, which is looked at as often as the stream shows that it lives, and at once if they are revoked.
        """
        nonce = client.session
        state = await self._sessions.find(nonce, client.account)
        watch = self._watches.open(client, CHANGES, _known(last_event_id))
        former = self._told.pop(nonce, None)
        if former is not None:
            former.close()
        self._told[nonce] = watch
        try:
            if state is not None:
                watch.follow_only(state.subscriptions, missed=True)
                watch.complete(state.completed)  # perhaps once more: it may have been while no stream was open
            with self._standing(visit, watch):
                await self._tell(responder, client, watch)
        finally:
            watch.close()
            if self._told.get(nonce) is watch:
                del self._told[nonce]

    @contextmanager
    def _standing(self, visit: Visit | None, watch: Watch) -> Iterator[None]:
        if visit is None:
            yield
            return
        end = watch.announcements.close
        with standing(visit.check, end, self._keep_alive_seconds), self.standings.hold(visit.principal, end):
            yield

    async def _tell(self, responder: Responder, client: Client, watch: Watch) -> None:
        if client.revision >= PRIMED_SINCE:
            await responder.prime(_mark(watch))
        else:
            await responder.keep_alive()
        while not watch.announcements.closed:
            told = await watch.announcements.next(self._keep_alive_seconds)
            self._sessions.touch(client.session)
            for method, params in told:
                await responder.event(jsonrpc.notification(method, jsonrpc.encode(params)), _mark(watch))
            if not told:
                await responder.keep_alive()


def _mark(watch: Watch) -> bytes:
    return (PREFIX + "-".join(watch.digests[name] for name in CHANGES)).encode()


def _known(last_event_id: str) -> dict[str, str] | None:
    digests = last_event_id.removeprefix(PREFIX).split("-")
    if not last_event_id.startswith(PREFIX) or len(digests) != len(CHANGES):
        return None
    return dict(zip(CHANGES, digests, strict=True))
