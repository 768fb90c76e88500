"""What the downstream renderers share: where they are, whom they serve, and how a request gets to its backend."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.headers import check_params
from actors.core.listing import LIST_METHODS
from actors.core.offer import Offer
from actors.core.outcome import Failure, FailureKind, failure_error
from actors.core.principal import Principal
from actors.core.request import Request
from actors.core.revisions import Era
from actors.core.routing import Rejection
from actors.core.tally import ERROR, OK, CallLabels, outcome_label
from serve_app.downstream.carrying import ERROR_STATUS, carry
from serve_app.downstream.responder import KEEP_ALIVE_SECONDS, Responder
from serve_app.flight import Flight
from serve_app.http import Headers
from serve_app.links import Links
from serve_app.tallying import Tallying

GRACE_SECONDS: Final = 5.0
"""A Backend ends a call itself when its time is over; one that has not after so much longer never will."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One POST at one endpoint: who came, where, and how to answer."""

    offer: Offer
    principal: Principal
    headers: dict[str, str]
    """The `mcp-` headers, lower-case names, as `core.headers.mcp_headers` reads them."""
    responder: Responder


class Door:
    """Sends requests on, and counts what becomes of them."""

    def __init__(
        self,
        links: Links,
        tallying: Tallying,
        clock: Callable[[], float],
        *,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.links = links
        self.tallying = tallying
        self._clock = clock
        self._keep_alive_seconds = keep_alive_seconds
        self._grace_seconds = grace_seconds

    async def pass_on(self, visit: Visit, request: Request) -> None:
        """Find the backend of a routed request, call it, and answer.

        A modern client that goes away cancels its call; a legacy client's goes on (2025-11-25, basic/transports).
        """
        route = visit.offer.route(request.method, request.params, request.era)
        if isinstance(route, Rejection):
            await self.reject(visit, request, route)
            return
        modern = request.era is Era.MODERN
        if modern and request.method == "tools/call" and (reason := _header_mismatch(visit, request)):
            await self.reject(visit, request, Rejection(jsonrpc.HEADER_MISMATCH, reason))
            return
        backend = visit.offer.view.backends.get(route.owned.backend)
        if backend is None:
            await self.reject(visit, request, Rejection(jsonrpc.INVALID_PARAMS, "no backend has this"))
            return
        flight = Flight(self.links, backend, request.call(route, backend.timeout))
        started = self._clock()
        label = FailureKind.CANCELLED.value
        try:
            outcome = await carry(
                flight,
                request,
                visit.responder,
                backend.name,
                patience=backend.timeout + self._grace_seconds,
                keep_alive=self._keep_alive_seconds,
            )
            label = outcome_label(outcome)
        except BaseException:
            if modern:
                flight.cancel("the client closed the connection")
            flight.leave()
            raise
        finally:
            self.tallying.tally.count(CallLabels(backend.name, request.method, label), self._clock() - started)

    async def answer(self, visit: Visit, request: Request, result: bytes, headers: Headers = ()) -> None:
        """Answer a request that needs no backend."""
        started = self._clock()
        await visit.responder.finish(200, jsonrpc.result_response(request.id, result), headers)
        self.tallying.tally.count(CallLabels("", request.method, OK), self._clock() - started)

    async def answer_list(self, visit: Visit, request: Request) -> None:
        """Answer one of `LIST_METHODS` from the catalogue: everything, on one page, so that no cursor is valid."""
        if not jsonrpc.is_absent(request.params.get("cursor")):
            await self.reject(visit, request, Rejection(jsonrpc.INVALID_PARAMS, "Invalid cursor"))
        elif not await self.is_absent(visit, request):
            await self.answer(visit, request, visit.offer.list_result(LIST_METHODS[request.method], request.era))

    async def is_absent(self, visit: Visit, request: Request) -> bool:
        """Whether this is the endpoint of one server that never said anything of itself; if so, that is the answer."""
        name = visit.offer.backend
        if name is None or visit.offer.facts is not None:
            return False
        failure = Failure(FailureKind.UNAVAILABLE, name, visit.offer.view.backends[name].detail)
        await visit.responder.finish(200, jsonrpc.error_response(request.id, failure_error(failure)))
        self.tallying.tally.count(CallLabels(name, request.method, outcome_label(failure)), 0.0)
        return True

    async def reject(self, visit: Visit, request: Request, rejection: Rejection) -> None:
        """Answer a request that no backend shall see."""
        status = ERROR_STATUS.get(rejection.code, 200) if request.era is Era.MODERN else 200
        await visit.responder.finish(status, jsonrpc.error_response(request.id, rejection.error))
        self.tallying.tally.count(CallLabels("", request.method, ERROR), 0.0)


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
