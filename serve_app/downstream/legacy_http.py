"""The handshake era over streamable HTTP: sessions in a header, POST, GET and DELETE.

Source: 2025-11-25, basic/transports; batches: 2025-03-26, basic.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from actors.core import jsonrpc
from actors.core.client import Client
from actors.core.envelope import Envelope, Incoming, Malformed, Response
from actors.core.limits.admission import STATUS, Reason
from serve_app.downstream.batch import Batch
from serve_app.downstream.door import Door
from serve_app.downstream.legacy import Legacy
from serve_app.downstream.responder import HttpResponder
from serve_app.downstream.streams import PREFIX, Streams
from serve_app.downstream.visit import Visit

SESSION_HEADER: Final = b"mcp-session-id"
BATCHED: Final = frozenset({"2024-11-05", "2025-03-26"})
"""The revisions with batches."""

NO_SESSION: Final = "this request needs the Mcp-Session-Id that initialize gave"
UNKNOWN_SESSION: Final = "this session is not known; initialize again"


class LegacyHttp:
    """Finds the session of each request, and what is to be done in it."""

    def __init__(self, door: Door, legacy: Legacy, streams: Streams) -> None:
        self._door = door
        self._legacy = legacy
        self._streams = streams

    async def post(self, visit: Visit, message: Envelope | Response) -> None:
        """Answer one POST. Rungs, in order; the first which decides wins.

        1. `initialize` opens a session.
        2. Everything else belongs to one: without id 400, with one that is unknown 404.
        """
        if isinstance(message, Envelope) and message.method == "initialize" and message.id is not None:
            opened = await self._legacy.initialize(visit, message)
            if opened is not None:
                request, result, session_id = opened
                await self._door.answer(visit, request, result, [(SESSION_HEADER, session_id.encode())])
            return
        client = await self._client(visit, message.id)
        if client is not None:
            await self._legacy.handle(replace(visit, resumable=visit.responder.streams), client, message)

    async def post_batch(self, visit: Visit, responder: HttpResponder, messages: Sequence[Incoming]) -> None:
        """Answer a POST of several messages: all at once, or each on a stream as it is ready."""
        client = await self._client(visit, None)
        if client is None:
            return
        if client.revision not in BATCHED:
            await _refuse(visit, 400, f"{client.revision} has no batches; send one message a request")
            return
        batch = Batch(responder, sum(_is_answered(message) for message in messages))
        async with asyncio.TaskGroup() as group:
            for message in messages:
                part = replace(visit, responder=batch.part())
                group.create_task(self._one_of_many(part, client, message))
        await batch.end()

    async def get(self, visit: Visit, responder: HttpResponder, last_event_id: str) -> None:
        """Open a stream: for what belongs to no request, or for the rest of an answer. Rungs, in order:

        1. The client takes streams, and has a session.
        2. Its principal has not as many streams open as may be.
        3. The event id of an answer leads back to it.
        4. Any other event id is of a stream of ours, or there is none.
        """
        if not responder.streams:
            await _refuse(visit, 406, "GET opens a stream, and needs Accept: text/event-stream")
            return
        client = await self._client(visit, None)
        if client is None:
            return
        path = f"/servers/{client.endpoint}/mcp" if client.endpoint else "/mcp"
        async with self._door.hold(visit.caller, Reason.STREAMS, "GET", path) as refused:
            if refused is not None:
                await responder.finish(STATUS, jsonrpc.error_response(b"null", refused.error), refused.fields)
            elif last_event_id and not last_event_id.startswith(PREFIX):
                await self._resume(visit, responder, client, last_event_id)
            elif self._streams.full:
                await _refuse(visit, 503, "too many streams are open here; try again later")
            else:
                await self._streams.run(responder, client, last_event_id, visit)
                await responder.end()

    async def _resume(self, visit: Visit, responder: HttpResponder, client: Client, last_event_id: str) -> None:
        followed = self._door.ways.trails.follow(client, last_event_id)
        if followed is None:
            await _refuse(visit, 400, "this Last-Event-ID was not given to this session")
        else:
            await responder.keep_alive()  # a GET is answered with a stream, even if there is but one thing to say
            await self._door.go_on(replace(visit, resumable=True), client, *followed)

    async def delete(self, visit: Visit, responder: HttpResponder) -> None:
        """End a session."""
        client = await self._client(visit, None)
        if client is not None:
            await self._legacy.end(client)
            await responder.say_nothing(204)

    async def _one_of_many(self, visit: Visit, client: Client, message: Incoming) -> None:
        if isinstance(message, Malformed):
            await visit.responder.finish(400, message.response)
        elif isinstance(message, Envelope) and message.method == "initialize" and message.id is not None:
            error = jsonrpc.error(jsonrpc.INVALID_REQUEST, "initialize cannot be part of a batch")
            await visit.responder.finish(400, jsonrpc.error_response(message.id, error))
        else:
            await self._legacy.handle(visit, client, message)

    async def _client(self, visit: Visit, request_id: bytes | None) -> Client | None:
        session_id = visit.headers.get("mcp-session-id")
        if session_id is None:
            await _refuse(visit, 400, NO_SESSION, request_id)
            return None
        client = await self._legacy.find(visit, session_id)
        if client is None:
            await _refuse(visit, 404, UNKNOWN_SESSION, request_id)
        return client


def _is_answered(message: Incoming) -> bool:
    return isinstance(message, Malformed) or (isinstance(message, Envelope) and message.id is not None)


async def _refuse(visit: Visit, status: int, reason: str, request_id: bytes | None = None) -> None:
    error = jsonrpc.error(jsonrpc.INVALID_REQUEST, reason)
    await visit.responder.finish(status, jsonrpc.error_response(request_id or b"null", error))
