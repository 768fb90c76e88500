"""Carries one request to its backend and back, in the client's era."""

import asyncio
from typing import Final

from actors.bus.frames import Event, EventKind
from actors.core import jsonrpc
from actors.core.outcome import Failure, FailureKind, Outcome, failure_error
from actors.core.rendering import error_for, result_for
from actors.core.request import Request
from actors.core.revisions import Era
from serve_app.downstream.responder import KEEP_ALIVE_SECONDS, Responder
from serve_app.flight import Flight

ERROR_STATUS: Final = {
    jsonrpc.PARSE_ERROR: 400,
    jsonrpc.INVALID_REQUEST: 400,
    jsonrpc.INVALID_PARAMS: 400,
    jsonrpc.HEADER_MISMATCH: 400,
    jsonrpc.MISSING_CLIENT_CAPABILITY: 400,
    jsonrpc.UNSUPPORTED_REVISION: 400,
    jsonrpc.METHOD_NOT_FOUND: 404,
}
"""The HTTP status that says a JSON-RPC error once more, to modern clients; other errors come with 200."""


async def carry(flight: Flight, request: Request, responder: Responder, backend: str) -> Outcome:
    """Stream the events of a flight to the client, then its outcome; gives that for whoever counts."""
    while True:
        item = await _next(flight, responder)
        if isinstance(item, Event):
            await responder.event(_notification(item, request))
            continue
        await _finish(item, request, responder, backend)
        return item


async def _next(flight: Flight, responder: Responder) -> Event | Outcome:
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                return await flight.next()
        except TimeoutError:
            await responder.keep_alive()


def _notification(event: Event, request: Request) -> bytes:
    if event.kind is EventKind.PROGRESS:
        params = jsonrpc.decode_object(event.data)
        params[jsonrpc.PROGRESS_KEY] = jsonrpc.raw_bytes(request.progress_token or b"null")
        return jsonrpc.notification("notifications/progress", jsonrpc.encode(params))
    return jsonrpc.notification("notifications/message", event.data)


async def _finish(outcome: Outcome, request: Request, responder: Responder, backend: str) -> None:
    if isinstance(outcome, Failure):
        await responder.finish(200, jsonrpc.error_response(request.id, failure_error(outcome)))
        return
    if outcome.is_error:
        code, error = error_for(request.era, request.method, outcome)
        status = ERROR_STATUS.get(code, 200) if request.era is Era.MODERN else 200
        await responder.finish(status, jsonrpc.error_response(request.id, error))
        return
    result = result_for(request.era, request.method, outcome)
    if result is None:
        detail = "it asks the client something, which a client of this revision cannot be asked yet"
        error = failure_error(Failure(FailureKind.UNSUPPORTED, backend, detail))
        await responder.finish(200, jsonrpc.error_response(request.id, error))
        return
    await responder.finish(200, jsonrpc.result_response(request.id, result))
