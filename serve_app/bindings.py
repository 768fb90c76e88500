"""Keeps each session of a sticky server at the replica that has its state.

The Router binds, and its answer is gone by: one question at a session's first call to a backend, and none after it,
since this ingress replica has a copy. Bound calls go to a replica that is draining, too, as long as it takes them. A
session whose replica is gone hears of it once: at the endpoint of one server it ends, and its client initializes again;
at the aggregate one call fails, and the next binds it to another replica.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from actors.bus.dialer import CallerLink
from actors.core import jsonrpc
from actors.core.binding import MAX_BINDINGS, Binding, binding_at
from actors.core.client import Client
from actors.core.membership import ReplicaKey, ReplicaState
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from actors.core.session_state import SessionState
from actors.core.traffic_settings import Stickiness
from actors.core.view import BackendView, View
from actors.core.where import Where
from serve_app.attempts import NO_LINK
from serve_app.links import Links
from serve_app.sessions import Sessions

LOST: Final = "session_lost"
"""The reason in the error."""

Place = Binding | Reply | Failure
"""Where calls of a session go; or why they go nowhere."""

Choose = Callable[[], Awaitable[tuple[ReplicaKey, CallerLink] | Failure]]
"""Finds a replica for a session that is to be bound."""


class Bindings:
    """Makes bindings, and notices their loss. Belongs to one event loop."""

    def __init__(self, links: Links, sessions: Sessions, view: Callable[[], View]) -> None:
        """`view` gives the latest."""
        self._links = links
        self._sessions = sessions
        self._view = view
        self._settling: dict[tuple[bytes, str], asyncio.Task[Place]] = {}
        """Sessions that are being bound, or lost: all their calls wait for the same answer."""

    async def find(self, nonce: bytes, owner: str, endpoint: str) -> SessionState | None:
        """A session, see `Sessions.find`; one of one server's `endpoint` has ended if its replica is gone."""
        state = await self._sessions.find(nonce, owner)
        backend = self._view().backends.get(endpoint)
        if state is None or backend is None or backend.stickiness is not Stickiness.HARD:
            return state
        binding = binding_at(state.bindings, endpoint)
        if binding is None or self._stands(binding):
            return state
        place = await self._settle_loss(nonce, endpoint, binding)
        return None if isinstance(place, Reply) else state

    def held(self, client: Client, backend: BackendView) -> Where | None:
        """Where a client's session is bound, if it is, and if its replica is there."""
        state = self._sessions.known(client.session) if is_bound(client, backend) else None
        binding = None if state is None else binding_at(state.bindings, backend.name)
        return where_of(binding) if binding is not None and self._stands(binding) else None

    async def place(self, client: Client, backend: str, choose: Choose) -> Place:
        """Where the calls of a client's session to this backend go, which is bound if it is not yet.

        It may be cancelled and asked again. All ingress replicas should `choose` the same for a session, and so not by
        load: if the Router is away, it cannot tell one what another chose, and is told of it later.
        """
        nonce = client.session
        state = await self._sessions.find(nonce, client.account)
        if state is None:
            return _lost(backend)
        binding = binding_at(state.bindings, backend)
        if binding is None or not binding.is_bound:
            return await self._settle(nonce, backend, lambda: self._bind(state, backend, choose))
        if self._stands(binding):
            return binding
        return await self._settle_loss(nonce, client.endpoint, binding)

    async def refused(self, client: Client, binding: Binding, failure: Failure) -> Reply | Failure:
        """What a call comes to that its replica never took: the session is lost if that is gone, or drains."""
        if self._stands(binding) and not self._is_draining(binding):
            return failure
        place = await self._settle_loss(client.session, client.endpoint, binding)
        return place if isinstance(place, Reply) else Failure(FailureKind.UNAVAILABLE, binding.backend, NO_LINK)

    async def _settle_loss(self, nonce: bytes, endpoint: str, binding: Binding) -> Place:
        return await self._settle(nonce, binding.backend, lambda: self._lose(nonce, endpoint, binding))

    async def _settle(self, nonce: bytes, backend: str, how: Callable[[], Coroutine[Any, Any, Place]]) -> Place:
        key = nonce, backend
        if key not in self._settling:
            task = self._settling[key] = asyncio.create_task(how())
            task.add_done_callback(lambda _: self._settling.pop(key))
        return await asyncio.shield(self._settling[key])

    async def _bind(self, state: SessionState, backend: str, choose: Choose) -> Place:
        chosen = await choose()
        if isinstance(chosen, Failure):
            return chosen
        replica, _ = chosen
        former = binding_at(state.bindings, backend)
        number = 1 if former is None else former.number + 1
        wanted = Binding(backend, number, replica.index, self._links.epoch(replica) or "")
        if former is None and len(state.bindings) >= MAX_BINDINGS:
            return wanted  # nobody keeps it, but the next call will choose alike
        after = await self._sessions.bind(state.nonce, wanted)
        bound = None if after is None else binding_at(after.bindings, backend)
        return _lost(backend) if bound is None else await self._once_there(bound)

    async def _lose(self, nonce: bytes, endpoint: str, binding: Binding) -> Place:
        state = await self._sessions.lose(nonce, binding)
        now = None if state is None else binding_at(state.bindings, binding.backend)
        if now == binding:
            return await self._once_there(binding)
        if endpoint:
            await self._sessions.end(nonce)
        elif now is not None and self._stands(now):
            return now  # it was bound anew: its client has heard of the loss, elsewhere
        return _lost(binding.backend)

    async def _once_there(self, binding: Binding) -> Binding | Failure:
        """A binding whose replica the Router knows; it may be that this ingress replica does not know it yet."""
        if binding.is_bound and not self._stands(binding):
            await self._links.again(binding.replica, binding.epoch)
        return binding if self._stands(binding) else Failure(FailureKind.UNAVAILABLE, binding.backend, NO_LINK)

    def _stands(self, binding: Binding) -> bool:
        return self._links.epoch(binding.replica) == binding.epoch

    def _is_draining(self, binding: Binding) -> bool:
        backend = self._view().backends.get(binding.backend)
        replicas = () if backend is None else backend.replicas
        return any(each.key == binding.replica and each.state is ReplicaState.DRAINING for each in replicas)


def is_bound(client: Client, backend: BackendView) -> bool:
    """Whether this client's calls to this backend are bound: it has a session, and the backend wants that."""
    return backend.stickiness is Stickiness.HARD and bool(client.session)


def where_of(binding: Binding) -> Where:
    """Where an exchange of the session is to be opened."""
    return Where(binding.replica, binding.epoch, b"", 0)


def _lost(backend: str) -> Reply:
    reason = f"the replica of backend {backend!r} that had the state of this session is gone; begin anew"
    data = {"reason": LOST, "backend": backend}
    return Reply(jsonrpc.error(jsonrpc.INTERNAL_ERROR, reason, data), Era.HANDSHAKE, is_error=True)
