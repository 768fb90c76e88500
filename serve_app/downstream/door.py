"""What the downstream renderers share: where they are, whom they serve, and how a request gets to its backend."""

from collections.abc import Callable
from dataclasses import dataclass

from actors.core import jsonrpc
from actors.core.headers import check_params
from actors.core.offer import Offer
from actors.core.outcome import Failure, FailureKind, failure_error
from actors.core.principal import Principal
from actors.core.request import Request
from actors.core.revisions import Era
from actors.core.routing import Rejection
from actors.core.tally import CallLabels, outcome_label
from serve_app.downstream.carrying import ERROR_STATUS, carry
from serve_app.downstream.responder import Responder
from serve_app.flight import Flight
from serve_app.links import Links
from serve_app.tallying import Tallying


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

    def __init__(self, links: Links, tallying: Tallying, clock: Callable[[], float]) -> None:
        self.links = links
        self.tallying = tallying
        self.clock = clock

    async def pass_on(self, visit: Visit, request: Request) -> None:
        """Find the backend of a routed request, call it, and answer.

        A modern client that goes away cancels its call; a legacy client's goes on (2025-11-25, basic/transports).
        """
        modern = request.era is Era.MODERN
        route = visit.offer.route(request.method, request.params, request.era)
        if isinstance(route, Rejection):
            await self.reject(visit, request, route)
            return
        if modern and request.method == "tools/call" and (reason := _header_mismatch(visit, request)):
            await self.reject(visit, request, Rejection(jsonrpc.HEADER_MISMATCH, reason))
            return
        backend = visit.offer.view.backends.get(route.owned.backend)
        if backend is None:
            await self.reject(visit, request, Rejection(jsonrpc.INVALID_PARAMS, "no backend has this"))
            return
        flight = Flight(self.links, backend, request.call(route, backend.timeout))
        started = self.clock()
        label = FailureKind.CANCELLED.value
        try:
            label = outcome_label(await carry(flight, request, visit.responder, backend.name))
        except BaseException:
            if modern:
                flight.cancel("the client closed the connection")
            flight.leave()
            raise
        finally:
            self.tallying.tally.count(CallLabels(backend.name, request.method, label), self.clock() - started)

    async def answer(self, visit: Visit, request: Request, result: bytes) -> None:
        """Answer a request that needs no backend."""
        started = self.clock()
        await visit.responder.finish(200, jsonrpc.result_response(request.id, result))
        self.tallying.tally.count(CallLabels("", request.method, "ok"), self.clock() - started)

    async def reject(self, visit: Visit, request: Request, rejection: Rejection) -> None:
        """Answer a request that no backend shall see."""
        status = ERROR_STATUS.get(rejection.code, 200) if request.era is Era.MODERN else 200
        await visit.responder.finish(status, jsonrpc.error_response(request.id, rejection.error))
        self.tallying.tally.count(CallLabels("", request.method, "error"), 0.0)

    async def not_there(self, visit: Visit, request: Request, backend: str) -> None:
        """Answer for one server that was never up, and so said nothing of itself."""
        detail = visit.offer.view.backends[backend].detail
        error = failure_error(Failure(FailureKind.UNAVAILABLE, backend, detail))
        await visit.responder.finish(200, jsonrpc.error_response(request.id, error))


def _header_mismatch(visit: Visit, request: Request) -> str | None:
    name = jsonrpc.text(request.params.get("name"))
    annotated = visit.offer.annotated_params(name or "")
    if not annotated:
        return None
    return check_params(annotated, jsonrpc.value(request.params.get("arguments")) or {}, visit.headers)
