"""What the downstream renderers share: where they are, whom they serve, and how a request gets to its backend."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.balance_key import affinity_of
from actors.core.caller import Caller
from actors.core.care import Care
from actors.core.client import Client
from actors.core.continuation import Continuation, Way
from actors.core.headers import check_params
from actors.core.limits.admission import STATUS, Reason, Refused
from actors.core.listing import LIST_METHODS
from actors.core.membership import ReplicaKey
from actors.core.offer import Offer
from actors.core.outcome import Failure, FailureKind, failure_error
from actors.core.principal import Principal
from actors.core.request import Request
from actors.core.revisions import Era
from actors.core.routing import Rejection, Route
from actors.core.tally import ERROR, LIMITED, OK, CallLabels, outcome_label
from actors.core.tasks import TASK_METHODS, route_task
from actors.core.time_limit import TOOLS_CALL
from actors.core.trail import Trail
from actors.core.view import BackendView
from actors.core.where import Where
from serve_app.bindings import Bindings, is_bound
from serve_app.bound_flight import BoundFlight
from serve_app.downstream.bridge import ANOTHER, answers_of, continued_params, without_answer
from serve_app.downstream.invited import KEY
from serve_app.downstream.passage import ERROR_STATUS, Passage, Ways
from serve_app.downstream.responder import Responder
from serve_app.downstream.standing import Check
from serve_app.flight import Flight
from serve_app.hedge import Course, Hedge
from serve_app.http import Headers
from serve_app.limiting import Limiting
from serve_app.links import Links
from serve_app.recording import UNAVAILABLE as UNRECORDED
from serve_app.recording import Recorder
from serve_app.tallying import Tallying

NOBODY: Final = Rejection(jsonrpc.INVALID_PARAMS, "no backend has this")


class Visit(msgspec.Struct, frozen=True):
    """One message at one endpoint: who came, where, and how to answer."""

    offer: Offer
    caller: Caller
    headers: dict[str, str]
    """The `mcp-` headers, lower-case names, as `core.headers.mcp_headers` reads them; none where there is no HTTP."""
    responder: Responder
    resumable: bool = False
    """Whether the client can fetch what it missed with an event id."""
    raw: Mapping[bytes, bytes] = {}
    """All headers, lower-case names; none where there is no HTTP."""
    check: Check | None = None
    """Recognises whoever came once more; nothing where somebody else sees to that."""

    @property
    def principal(self) -> Principal:
        """Who came."""
        return self.caller.principal

    @property
    def ip(self) -> str:
        """See `Caller.ip`."""
        return self.caller.ip


class Door:
    """Sends requests on, and counts what becomes of them."""

    def __init__(
        self,
        links: Links,
        bindings: Bindings,
        tallying: Tallying,
        ways: Ways,
        clock: Callable[[], float],
        recorder: Recorder,
        limiting: Limiting,
    ) -> None:
        """`clock` is monotonic and in seconds."""
        self.links = links
        self.bindings = bindings
        self.tallying = tallying
        self.ways = ways
        self.recorder = recorder
        self.limiting = limiting
        self._clock = clock

    async def pass_on(self, visit: Visit, request: Request) -> None:
        """Find the backend of a routed request, call it, or go on with the call that it continues, and answer.

        A modern client that goes away cancels its call; a legacy client's goes on (2025-11-25, basic/transports).
        """
        refused = self.limiting.enter(visit.principal)
        if refused is not None:
            await self.reject(visit, request, refused)
            return
        try:
            found = self._prepare(visit, request)
            if isinstance(found, Rejection):
                await self.reject(visit, request, found)
            else:
                await self._fly(visit, request, *found)
        finally:
            self.limiting.leave(visit.principal)

    async def go_on(self, visit: Visit, client: Client, trail: Trail, sealed: str, after: int) -> None:
        """Show the rest of an answer to a client that came back with an event id."""
        token = trail.progress_token
        meta = {} if token is None else {jsonrpc.PROGRESS_KEY: jsonrpc.raw_bytes(token)}
        request = Request(trail.request_id, trail.method, {}, meta, client)
        backend = visit.offer.view.backends.get(trail.backend)
        if backend is None:
            await self.reject(visit, request, NOBODY)
            return
        flight = Flight.attach(self.links, backend, msgspec.structs.replace(trail.where, after=after))
        await self._fly(visit, request, backend, flight, trail=sealed)

    async def answer(self, visit: Visit, request: Request, result: bytes, headers: Headers = ()) -> None:
        """Answer a request that needs no backend."""
        started = self._clock()
        await visit.responder.finish(200, jsonrpc.result_response(request.id, result), headers)
        seconds = self._clock() - started
        self.tallying.tally.count(CallLabels("", request.method, OK), seconds)
        self.recorder.request(visit.caller, request, "", OK, seconds)

    async def answer_list(self, visit: Visit, request: Request) -> None:
        """Answer one of `LIST_METHODS` from the catalogue."""
        wanted = request.params.get("cursor")
        cursor = None if jsonrpc.is_absent(wanted) else jsonrpc.text(wanted) or ""
        if self.recorder.refusing:
            await self.reject(visit, request, UNRECORDED)
            return
        if await self.is_absent(visit, request):
            return
        page = visit.offer.list_result(LIST_METHODS[request.method], request.client.revision, cursor)
        if isinstance(page, Rejection):
            await self.reject(visit, request, page)
        else:
            await self.answer(visit, request, page)

    async def admits(self, visit: Visit, request: Request) -> bool:
        """Whether the limits let a request through that goes to no backend; if not, that is the answer."""
        refused = self._admit(visit)
        if refused is not None:
            await self.reject(visit, request, refused)
        return refused is None

    @asynccontextmanager
    async def hold(self, caller: Caller, what: Reason, verb: str, path: str) -> AsyncIterator[Refused | None]:
        """See `Limiting.hold`; a refusal is remembered, of one who came so over HTTP."""
        async with self.limiting.hold(caller.principal, what) as refusal:
            if refusal is not None:
                self.recorder.denied(caller.ip, verb, path, STATUS, refusal.message, caller.principal)
            yield refusal

    async def is_absent(self, visit: Visit, request: Request) -> bool:
        """Whether this is the endpoint of one server that never said anything of itself; if so, that is the answer."""
        name = visit.offer.backend
        if name is None or visit.offer.facts is not None:
            return False
        failure = Failure(FailureKind.UNAVAILABLE, name, visit.offer.view.backends[name].detail)
        await visit.responder.finish(200, jsonrpc.error_response(request.id, failure_error(failure)))
        label = outcome_label(failure)
        self.tallying.tally.count(CallLabels(name, request.method, label), 0.0)
        self.recorder.request(visit.caller, request, name, label)
        return True

    async def reject(self, visit: Visit, request: Request, rejection: Rejection) -> None:
        """Answer a request that no backend shall see."""
        status = ERROR_STATUS.get(rejection.code, 200) if request.client.era is Era.MODERN else 200
        headers: Headers = ()
        limited = isinstance(rejection, Refused)
        if isinstance(rejection, Refused):
            status, headers = STATUS, rejection.fields
        await visit.responder.finish(status, jsonrpc.error_response(request.id, rejection.error), headers)
        label = LIMITED if limited else ERROR
        self.tallying.tally.count(CallLabels("", request.method, label), 0.0)
        self.recorder.rejected(visit.caller, request, rejection, label)

    async def _fly(
        self,
        visit: Visit,
        request: Request,
        backend: BackendView,
        flight: Course,
        rule: str = "",
        *,
        trail: str | None = None,
    ) -> None:
        passage = Passage(
            self.ways,
            flight,
            request,
            visit.responder,
            backend,
            resumable=visit.resumable,
            trail=trail,
            headers=visit.raw,
        )
        started = self._clock()
        label = FailureKind.CANCELLED.value
        try:
            label = await passage.run()
        except BaseException:
            if request.client.era is Era.MODERN:
                flight.cancel("the client closed the connection")
            flight.leave()
            raise
        finally:
            seconds = self._clock() - started
            self.tallying.tally.count(CallLabels(backend.name, request.method, label), seconds)
            self.recorder.request(visit.caller, request, backend.name, label, seconds, rule)

    def _prepare(self, visit: Visit, request: Request) -> tuple[BackendView, Course, str] | Rejection:
        """The backend of a request, the way there, and what of the policy allowed it. Rungs, in order:

        1. What could not be remembered is not done, where that is wanted.
        2. A request that continues a call has a state which is ours, and its own.
        3. It has a backend, and parameters of the right form; one about a task goes to the replica that has it.
        4. The limits let it through; what has no backend counts against those that are not about any.
        5. The headers of a modern tool call say what its arguments say.
        6. A waiting call is gone on with where it waits; every other one is opened.
        """
        if self.recorder.refusing:
            return UNRECORDED
        modern = request.client.era is Era.MODERN
        continued = self.ways.bridge.read(request) if modern else None
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

    def _open(self, visit: Visit, request: Request, route: Route, backend: BackendView) -> Course:
        client = request.client
        affinity = affinity_of(backend, client, route.owned.name, request.params, visit.raw)
        if client.era is Era.MODERN and backend.personal:
            route = msgspec.structs.replace(route, params=without_answer(route.params, KEY))
        call = request.call(route, request.time_limit(route, backend))
        retries = self.ways.retries
        if is_bound(client, backend):
            return BoundFlight(self.bindings, client, self.links, backend, call, affinity=affinity, retries=retries)
        care = visit.offer.care(request.method, jsonrpc.text(request.params.get("name")) or "")
        repeatable = care is not Care.ONCE
        flight = Flight(self.links, backend, call, affinity=affinity, retries=retries, repeatable=repeatable)
        hedge_after = backend.retry.hedge_after
        return flight if hedge_after is None or care is not Care.READS else Hedge(flight, hedge_after)

    def _limit(self, visit: Visit, request: Request, route: Route | Rejection) -> Refused | None:
        if isinstance(route, Rejection):
            return self._admit(visit)
        owned = route.owned
        return self._admit(visit, owned.backend, owned.name if request.method == TOOLS_CALL else "")

    def _admit(self, visit: Visit, server: str = "", tool: str = "") -> Refused | None:
        admission = self.limiting.admit(visit.caller, server, tool)
        if isinstance(admission, Refused):
            return admission
        visit.responder.announce(admission.fields)
        return None

    def _route(self, visit: Visit, request: Request) -> Route | Rejection:
        if request.method in TASK_METHODS:
            return route_task(self.ways.tasks, request)
        return visit.offer.route(request.method, request.params, request.client.era)

    def _to_replica(self, request: Request, route: Route, backend: BackendView, key: ReplicaKey) -> Course | Rejection:
        epoch = self.links.epoch(key)
        if epoch is None:
            sentence = f"the replica of backend {backend.name!r} that has this task is not available"
            data = {"reason": FailureKind.UNAVAILABLE.value, "backend": backend.name}
            return Rejection(jsonrpc.INTERNAL_ERROR, sentence, data)
        call = request.call(route, request.time_limit(route, backend))
        pinned = Where(key, epoch, b"", 0)
        return Flight(self.links, backend, call, pinned=pinned, retries=self.ways.retries)

    def _continue(
        self, request: Request, route: Route, backend: BackendView, continued: Continuation, ticket: bytes
    ) -> Course | Rejection:
        where = continued.where
        if where.replica.backend != backend.name:
            return ANOTHER
        if continued.way is Way.PARKED:
            return Flight.resume(self.links, backend, where, answers_of(request.params))
        params = continued_params(continued, route.params)
        call = request.call(Route(route.owned, params), request.time_limit(route, backend), ticket)
        return Flight(self.links, backend, call, pinned=where, retries=self.ways.retries)


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
