"""Carries one request to its backend and back, in the client's era."""

import asyncio
from typing import Final

import msgspec

from actors.bus.frames import Event, EventKind
from actors.core import jsonrpc
from actors.core.outcome import Failure, FailureKind, Outcome, failure_error
from actors.core.rendering import error_for, result_for
from actors.core.request import Request
from actors.core.revisions import Era
from serve_app.downstream.responder import Responder
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


async def carry(
    flight: Flight, request: Request, responder: Responder, backend: str, *, patience: float, keep_alive: float
) -> Outcome:
    """Stream the events of a flight to the client, then its outcome; gives that for whoever counts.

    After `patience` seconds the call is given up. A stream gets a sign of life after `keep_alive` silent seconds.
    """
    try:
        async with asyncio.timeout(patience):
            outcome = await _stream(flight, request, responder, keep_alive)
    except TimeoutError:
        flight.cancel("timeout")
        flight.leave()
        outcome = Failure(FailureKind.TIMEOUT, backend, f"after {patience:g} s")
    if not isinstance(outcome, Failure) and not jsonrpc.is_object(outcome.body):
        outcome = Failure(FailureKind.PROTOCOL, backend, "neither its result nor its error is an object")
    await _finish(outcome, request, responder, backend)
    return outcome


async def _stream(flight: Flight, request: Request, responder: Responder, keep_alive: float) -> Outcome:
    while True:
        try:
            async with asyncio.timeout(keep_alive):
                item = await flight.next()
        except TimeoutError:
            await responder.keep_alive()
            continue
        if not isinstance(item, Event):
            return item
        message = _notification(item, request)
        if message is not None:
            await responder.event(message)


def _notification(event: Event, request: Request) -> bytes | None:
    """An event as the client of this request may hear it; nothing if it did not ask for it."""
    if event.kind is EventKind.LOG:
        return jsonrpc.notification("notifications/message", event.data)
    if event.kind is not EventKind.PROGRESS or request.progress_token is None:
        return None
    try:
        params = jsonrpc.decode_object(event.data)
    except msgspec.DecodeError:
        return None
    params[jsonrpc.PROGRESS_KEY] = jsonrpc.raw_bytes(request.progress_token)
    return jsonrpc.notification("notifications/progress", jsonrpc.encode(params))


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
