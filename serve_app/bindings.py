"""Keeps each session of a sticky server at the replica that has its state.

The Router binds, and its answer is gone by: one question at a session's first call to a backend, and none after it,
since this ingress replica has a copy. Bound calls go to a replica that is draining, too, as long as it takes them.

A session whose state is gone hears of it once: at the endpoint of one server it ends, and its client initializes again;
at the aggregate one call fails, and the next binds it anew. Calls that began before the loss was known anywhere are all
told; one that began later comes from a client that has heard, wherever that was, and is bound anew at once.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from actors.bus.dialer import CallerLink
from actors.core.binding import MAX_BINDINGS, Binding, binding_at
from actors.core.client import Client
from actors.core.incident import Incident
from actors.core.membership import ReplicaKey, ReplicaState
from actors.core.outcome import Failure, FailureKind
from actors.core.session_end import End
from actors.core.session_state import Lose, SessionState
from actors.core.traffic_settings import Stickiness
from actors.core.view import BackendView, View
from actors.core.where import Where
from serve_app.attempts import NO_LINK
from serve_app.links import Links
from serve_app.sessions import Sessions
from serve_app.tallying import Note, nowhere

MAX_ROUNDS: Final = 3
"""How often a call is bound anew because the binding it found is lost; more than one loss under way is rare."""

Choose = Callable[[], Awaitable[tuple[ReplicaKey, CallerLink] | Failure]]
"""Finds a replica for a session that is to be bound."""

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loss:
    """The state that a binding led to is gone, and the Router knows."""

    backend: str
    until: float
    """Calls that began before may have counted on that state; a client that calls later has heard. Of the clock."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a call goes."""

    binding: Binding
    is_new: bool
    """Whether it was bound for this call, so that no state is lost with it."""


class Bindings:
    """Makes bindings, and notices their loss. Belongs to one event loop."""

    def __init__(
        self,
        links: Links,
        sessions: Sessions,
        view: Callable[[], View],
        clock: Callable[[], float] = time.monotonic,
        note: Note = nowhere,
    ) -> None:
        """`view` gives the latest; `clock` is monotonic, in seconds; `note` counts the sessions that are lost."""
        self._links = links
        self._sessions = sessions
        self._view = view
        self.clock = clock
        self._note = note
        self._binding: dict[tuple[bytes, str], asyncio.Task[Binding | Failure]] = {}
        """Sessions that are being bound: all their calls wait for the same answer."""
        self._losing: dict[tuple[bytes, Lose], asyncio.Task[Binding | Loss | Failure]] = {}
        """Those that lose a binding, likewise."""

    async def find(self, nonce: bytes, owner: str, endpoint: str) -> SessionState | None:
        """A session, see `Sessions.find`; one of one server's `endpoint` has ended if its state is gone."""
        state = await self._sessions.find(nonce, owner)
        backend = self._view().backends.get(endpoint)
        if state is None or backend is None or backend.stickiness is not Stickiness.HARD:
            return state
        binding = binding_at(state.bindings, endpoint)
        if binding is None or not binding.is_bound or self._stands(binding):
            return state
        return None if isinstance(await self._settle_loss(nonce, endpoint, binding), Loss) else state

    def held(self, client: Client, backend: BackendView) -> Where | None:
        """Where a client's session is bound, if it is, and if its replica is there."""
        state = self._sessions.known(client.session) if is_bound(client, backend) else None
        binding = None if state is None else binding_at(state.bindings, backend.name)
        return where_of(binding) if binding is not None and self._stands(binding) else None

    async def place(self, client: Client, backend: str, choose: Choose, began: float) -> Placed | Failure:
        """Where a call of a client's session to this backend goes, which is bound if it is not yet.

        `began` is when the call did. It may be cancelled and asked again. All ingress replicas should `choose` the same
        for a session, and so not by load: if the Router is away, it cannot tell one what another chose, and is told of
        it later.
        """
        for _ in range(MAX_ROUNDS):
            found = await self._find_place(client, backend, choose)
            if not isinstance(found, Loss):
                return found
            if began < found.until:
                return _lost(backend)
        return Failure(FailureKind.UNAVAILABLE, backend, NO_LINK)

    async def refused(self, client: Client, placed: Placed, failure: Failure, began: float) -> Failure | None:
        """What a call comes to that never ran where it was placed, or nothing if it is to be placed once more.

        The state of its session is lost if the replica is gone, drains, or says so itself.
        """
        binding = placed.binding
        by_itself = failure.kind is FailureKind.SESSION_LOST
        if not by_itself and self._stands(binding) and not self._is_draining(binding):
            return failure
        found = await self._settle_loss(client.session, client.endpoint, binding, certain=by_itself)
        if isinstance(found, Loss):
            return None if placed.is_new or began >= found.until else _lost(binding.backend)
        return Failure(FailureKind.UNAVAILABLE, binding.backend, NO_LINK)

    async def _find_place(self, client: Client, backend: str, choose: Choose) -> Placed | Loss | Failure:
        nonce = client.session
        state = await self._sessions.find(nonce, client.account)
        if state is None:
            return Loss(backend, math.inf)
        binding = binding_at(state.bindings, backend)
        if binding is None or not binding.is_bound:
            bound = await _together(self._binding, (nonce, backend), lambda: self._bind(state, backend, choose))
            return bound if isinstance(bound, Failure) else Placed(bound, is_new=True)
        found = binding if self._stands(binding) else await self._settle_loss(nonce, client.endpoint, binding)
        return Placed(found, is_new=False) if isinstance(found, Binding) else found

    async def _settle_loss(
        self, nonce: bytes, endpoint: str, binding: Binding, *, certain: bool = False
    ) -> Binding | Loss | Failure:
        lose = Lose(binding, certain or self._links.is_over(binding.replica, binding.epoch))
        return await _together(self._losing, (nonce, lose), lambda: self._lose(nonce, endpoint, lose))

    async def _bind(self, state: SessionState, backend: str, choose: Choose) -> Binding | Failure:
        chosen = await choose()
        if isinstance(chosen, Failure):
            return chosen
        replica, _ = chosen
        former = binding_at(state.bindings, backend)
        epoch = self._links.epoch(replica) or ""
        if former is None and len(state.bindings) >= MAX_BINDINGS:
            return Binding(backend, 0, replica.index, epoch)  # nobody keeps it, but the next call will choose alike
        number = 1 if former is None else former.number + 1
        after = await self._sessions.bind(state.nonce, Binding(backend, number, replica.index, epoch))
        bound = None if after is None else binding_at(after.bindings, backend)
        return _lost(backend) if bound is None else await self._once_there(bound)

    async def _lose(self, nonce: bytes, endpoint: str, lose: Lose) -> Binding | Loss | Failure:
        asked_at, backend = self.clock(), lose.binding.backend
        state, lost_for = await self._sessions.lose(nonce, lose)
        if state is not None and binding_at(state.bindings, backend) == lose.binding:
            return await self._once_there(lose.binding)
        if state is not None and lost_for is None:  # nobody else was told of this loss before
            self._note(Incident.SESSION_LOST, backend)
        if endpoint:
            await self._sessions.end(nonce, End.LOST)
        return Loss(backend, math.inf if endpoint or lost_for is None else asked_at - lost_for)

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


def _lost(backend: str) -> Failure:
    return Failure(FailureKind.SESSION_LOST, backend)


async def _together(tasks: dict[K, asyncio.Task[T]], key: K, how: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do something once for all who want it at the same time; it is not undone if one of them is cancelled."""
    if key not in tasks:
        task = tasks[key] = asyncio.create_task(how())
        task.add_done_callback(lambda _: tasks.pop(key))
    return await asyncio.shield(tasks[key])
