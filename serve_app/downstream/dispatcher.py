"""Finds the backend of a request, and opens the way there: a flight to a replica, or why there is to be none."""

from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.balance_key import affinity_of
from actors.core.care import Care
from actors.core.continuation import Continuation, Way
from actors.core.headers import check_params
from actors.core.limits.admission import Refused
from actors.core.membership import ReplicaKey
from actors.core.outcome import FailureKind
from actors.core.request import Request
from actors.core.revisions import Era
from actors.core.routing import Rejection, Route
from actors.core.tasks import TASK_METHODS, route_task
from actors.core.time_limit import TOOLS_CALL
from actors.core.view import BackendView
from actors.core.where import Where
from serve_app.bindings import Bindings, is_bound
from serve_app.bound_flight import BoundFlight
from serve_app.downstream.bridge import ANOTHER, answers_of, continued_params, without_answer
from serve_app.downstream.invited import KEY
from serve_app.downstream.visit import Visit
from serve_app.downstream.ways import Ways
from serve_app.flight import Flight
from serve_app.hedge import Course, Hedge
from serve_app.limiting import Limiting
from serve_app.links import Links
from serve_app.recording import UNAVAILABLE as UNRECORDED
from serve_app.recording import Recorder

NOBODY: Final = Rejection(jsonrpc.INVALID_PARAMS, "no backend has this")


class Dispatcher:
    """Dispatches the requests that come to one ingress replica. Nothing here waits."""

    def __init__(self, links: Links, bindings: Bindings, ways: Ways, limiting: Limiting, recorder: Recorder) -> None:
        self._links = links
        self._bindings = bindings
        self._ways = ways
        self._limiting = limiting
        self._recorder = recorder

    def dispatch(self, visit: Visit, request: Request) -> tuple[BackendView, Course, str] | Rejection:
        """The backend of a request, the way there, and what of the policy allowed it. Rungs, in order:

        1. What could not be remembered is not done, where that is wanted.
        2. A request that continues a call has a state which is ours, and its own.
        3. It has a backend, and parameters of the right form; one about a task goes to the replica that has it.
        4. The limits let it through; what has no backend counts against those that are not about any.
        5. The headers of a modern tool call say what its arguments say.
        6. A waiting call is gone on with where it waits; every other one is opened.
        """
        if self._recorder.refusing:
            return UNRECORDED
        modern = request.client.era is Era.MODERN
        continued = self._ways.bridge.read(request) if modern else None
        if isinstance(continued, Rejection):
            return continued
        route = self._route(visit, request)
        refused = self._limit(visit, request, route)
        if refused is not None:
            return refused
        if isinstance(route, Rejection):
            return route
        if modern and request.method == "tools/call" and (reason := _header_mismatch(visit, request)):
            return Rejection(jsonrpc.HEADER_MISMATCH, reason)
        backend = visit.offer.view.backends.get(route.owned.backend)
        if backend is None:
            return NOBODY
        if route.replica is not None:
            flight = self._to_replica(request, route, backend, ReplicaKey(backend.name, route.replica))
        elif continued is None:
            flight = self._open(visit, request, route, backend)
        else:
            flight = self._continue(request, route, backend, *continued)
        return flight if isinstance(flight, Rejection) else (backend, flight, route.rule)

    def admit(self, visit: Visit, server: str = "", tool: str = "") -> Refused | None:
        """Count a visit against the limits; what its client hears if they do not let it through."""
        admission = self._limiting.admit(visit.caller, server, tool)
        if isinstance(admission, Refused):
            return admission
        visit.responder.announce(admission.fields)
        return None

    def _open(self, visit: Visit, request: Request, route: Route, backend: BackendView) -> Course:
        client = request.client
        affinity = affinity_of(backend, client, route.owned.name, request.params, visit.raw)
        if client.era is Era.MODERN and backend.personal:
            route = msgspec.structs.replace(route, params=without_answer(route.params, KEY))
        call = request.call(route, request.time_limit(route, backend))
        retries = self._ways.retries
        if is_bound(client, backend):
            return BoundFlight(self._bindings, client, self._links, backend, call, affinity=affinity, retries=retries)
        care = visit.offer.care(request.method, jsonrpc.text(request.params.get("name")) or "")
        repeatable = care is not Care.ONCE
        flight = Flight(self._links, backend, call, affinity=affinity, retries=retries, repeatable=repeatable)
        hedge_after = backend.retry.hedge_after
        return flight if hedge_after is None or care is not Care.READS else Hedge(flight, hedge_after)

    def _limit(self, visit: Visit, request: Request, route: Route | Rejection) -> Refused | None:
        if isinstance(route, Rejection):
            return self.admit(visit)
        owned = route.owned
        return self.admit(visit, owned.backend, owned.name if request.method == TOOLS_CALL else "")

    def _route(self, visit: Visit, request: Request) -> Route | Rejection:
        if request.method in TASK_METHODS:
            return route_task(self._ways.tasks, request)
        return visit.offer.route(request.method, request.params, request.client.era)

    def _to_replica(self, request: Request, route: Route, backend: BackendView, key: ReplicaKey) -> Course | Rejection:
        epoch = self._links.epoch(key)
        if epoch is None:
            sentence = f"the replica of backend {backend.name!r} that has this task is not available"
            data = {"reason": FailureKind.UNAVAILABLE.value, "backend": backend.name}
            return Rejection(jsonrpc.INTERNAL_ERROR, sentence, data)
        call = request.call(route, request.time_limit(route, backend))
        pinned = Where(key, epoch, b"", 0)
        return Flight(self._links, backend, call, pinned=pinned, retries=self._ways.retries)

    def _continue(
        self, request: Request, route: Route, backend: BackendView, continued: Continuation, ticket: bytes
    ) -> Course | Rejection:
        where = continued.where
        if where.replica.backend != backend.name:
            return ANOTHER
        if continued.way is Way.PARKED:
            return Flight.resume(self._links, backend, where, answers_of(request.params))
        params = continued_params(continued, route.params)
        call = request.call(Route(route.owned, params), request.time_limit(route, backend), ticket)
        return Flight(self._links, backend, call, pinned=where, retries=self._ways.retries)


def _header_mismatch(visit: Visit, request: Request) -> str | None:
    name = jsonrpc.text(request.params.get("name"))
    annotated = visit.offer.annotated_params(name or "")
    if not annotated:
        return None
    try:
        arguments = jsonrpc.value(request.params.get("arguments"))
    except msgspec.DecodeError:
        return "the arguments cannot be read"
    return check_params(annotated, arguments if isinstance(arguments, dict) else {}, visit.headers)
