"""What the downstream renderers share: has a request dispatched, or answers it here, and counts what became of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from actors.core import jsonrpc
from actors.core.caller import Caller
from actors.core.client import Client
from actors.core.limits.admission import STATUS, Reason, Refused
from actors.core.listing import LIST_METHODS
from actors.core.outcome import Failure, FailureKind, failure_error
from actors.core.request import Request
from actors.core.revisions import Era
from actors.core.routing import Rejection
from actors.core.tally import ERROR, LIMITED, OK, CallLabels, outcome_label
from actors.core.trail import Trail
from actors.core.view import BackendView
from serve_app.bindings import Bindings
from serve_app.downstream.conclusion import ERROR_STATUS
from serve_app.downstream.dispatcher import NOBODY, Dispatcher
from serve_app.downstream.passage import Passage
from serve_app.downstream.visit import Visit
from serve_app.downstream.ways import Ways
from serve_app.flight import Flight
from serve_app.hedge import Course
from serve_app.http import Headers
from serve_app.limiting import Limiting
from serve_app.links import Links
from serve_app.recording import UNAVAILABLE as UNRECORDED
from serve_app.recording import Recorder
from serve_app.tallying import Tallying


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
        self._dispatcher = Dispatcher(links, bindings, ways, limiting, recorder)

    async def pass_on(self, visit: Visit, request: Request) -> None:
        """Find the backend of a routed request, call it, or go on with the call that it continues, and answer.

        A modern client that goes away cancels its call; a legacy client's goes on (2025-11-25, basic/transports).
        """
        refused = self.limiting.enter(visit.principal)
        if refused is not None:
            await self.reject(visit, request, refused)
            return
        try:
            found = self._dispatcher.dispatch(visit, request)
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
        refused = self._dispatcher.admit(visit)
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
            principal=visit.principal,
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
