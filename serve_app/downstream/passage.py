"""One request on its way to its backend and back, in the client's era: events, questions, and how it ended."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from actors.bus.frames import Event, EventKind
from actors.core import ask, jsonrpc
from actors.core.ask import Ask
from actors.core.ask_forms import ask_for
from actors.core.impossible import Impossible
from actors.core.outcome import Failure, FailureKind, Outcome, Reply, failure_error
from actors.core.rendering import error_for, result_for
from actors.core.request import Request
from actors.core.revisions import Era
from actors.core.tally import ASKED, outcome_label
from actors.core.task_ids import TaskIds
from actors.core.tasks import with_own_id
from actors.core.url_elicitation import url_requests, url_result
from actors.core.view import BackendView
from actors.core.where import Where
from serve_app.connect.invitation import Invitations
from serve_app.downstream.bridge import Bridge, input_required
from serve_app.downstream.invited import invitation
from serve_app.downstream.questions import Questions
from serve_app.downstream.responder import Responder
from serve_app.downstream.trails import Trails
from serve_app.hedge import Course
from serve_app.http import Headers
from serve_app.retries import Retries

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

PRIMED_SINCE: Final = "2025-11-25"
"""Clients from here on understand an event without data (2025-11-25, basic/transports, Sending Messages)."""

PRIME_SECONDS: Final = 1.0
"""A request that is silent for so long gets its first event id, so that its answer survives a broken connection."""

NOT_ASKED: Final = "it asks the client something, and this client takes no streams, so it cannot be asked"

GRACE_SECONDS: Final = 5.0
"""A Backend ends a call itself when its time is over; one that has not after so much longer never will."""


@dataclass(frozen=True, slots=True)
class Ways:
    """What passages share: how questions reach clients, how streams and tasks are found again, what retries cost.

    And where users are asked to go, so that a call can be made for them.
    """

    bridge: Bridge
    questions: Questions
    trails: Trails
    tasks: TaskIds
    retries: Retries
    keep_alive_seconds: float
    grace_seconds: float
    invitations: Invitations


class Passage:
    """Follows a flight and answers one request with what comes of it."""

    def __init__(
        self,
        ways: Ways,
        flight: Course,
        request: Request,
        responder: Responder,
        backend: BackendView,
        *,
        resumable: bool,
        trail: str | None = None,
        headers: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """`resumable` says whether the client can come back for what it missed, `trail` is what it came back with.

        `headers` are those of its request, where it came over HTTP.
        """
        self._headers = headers or {}
        self._ways = ways
        self._flight = flight
        self._request = request
        self._responder = responder
        self._backend = backend
        self._resumable = resumable
        self._trail = trail
        self._primed = trail is not None
        self._modern = request.client.era is Era.MODERN

    async def run(self) -> str:
        """Stream the events to the client, then what became of the call; gives the label that is counted."""
        try:
            end = await self._follow()
        except TimeoutError:
            self._flight.expire()
            end = Failure(FailureKind.TIMEOUT, self._backend.name, f"after {self._patience:g} s")
        if isinstance(end, Event):
            return await self._park(end)
        if isinstance(end, Reply) and not jsonrpc.is_object(end.body):
            end = Failure(FailureKind.PROTOCOL, self._backend.name, "neither its result nor its error is an object")
        if isinstance(end, Failure):
            await self._fail(end)
        elif end.is_error:
            await self._show_error(end)
        else:
            await self._show_result(end)
        return outcome_label(end)

    async def _follow(self) -> Outcome | Event:
        """The outcome, or the question for which a modern client's request has to end.

        Raises:
            TimeoutError: neither came within `_patience` seconds, and what questions and progress add to them. Whether
                progress adds anything is the Backend's to say: it ends the call before that if not.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self._patience
        last = now() + max(self._patience, self._backend.max_timeout + self._ways.grace_seconds)
        while True:
            quiet = self._ways.keep_alive_seconds if self._primed or not self._can_prime else PRIME_SECONDS
            try:
                async with asyncio.timeout_at(min(deadline, now() + quiet)):  # one timer: most calls need no other
                    item = await self._flight.next()
            except TimeoutError:
                if now() >= deadline:
                    raise
                item = None
            if item is not None and (not isinstance(item, Event) or (self._modern and item.kind is EventKind.ASK)):
                return item
            if item is not None and item.kind is EventKind.ASK:
                deadline = now() + self._backend.park_seconds + self._patience
                last += self._backend.park_seconds
            elif item is not None and item.kind is EventKind.PROGRESS:
                deadline = max(deadline, min(now() + self._patience, last))
            async with asyncio.timeout_at(deadline):  # a client may read slowly
                await self._show_event(item)

    @property
    def _patience(self) -> float:
        return self._flight.time_limit + self._ways.grace_seconds

    async def _show_event(self, event: Event | None) -> None:
        """Pass on what happened on the way; nothing happened for too long if there is no event."""
        if event is None:
            await self._show_life()
        elif event.kind is EventKind.ASK:
            await self._put(event)
        elif event.kind is EventKind.WITHDRAWN:
            await self._take_back(event)
        elif (message := _notification(event, self._request)) is not None:
            await self._say(message, event.seq)

    @property
    def _can_prime(self) -> bool:
        return self._resumable and not self._modern and self._request.client.revision >= PRIMED_SINCE

    async def _show_life(self) -> None:
        if not await self._prime():
            await self._responder.keep_alive()

    async def _prime(self) -> bool:
        """Begin a stream with the means to come back to it, if that has not been done and can be."""
        mark = b"" if self._primed or not self._can_prime else self._mark(0)
        self._primed = True
        if mark:
            await self._responder.prime(mark)
        return bool(mark)

    async def _say(self, message: bytes, number: int) -> None:
        await self._prime()
        await self._responder.event(message, self._mark(number))

    def _mark(self, number: int) -> bytes:
        """The event id with which the client may come back and read on after this event."""
        if not self._resumable:
            return b""
        if self._trail is None and (where := self._flight.where) is not None:
            self._trail = self._ways.trails.lay(self._request, where)
        return b"" if self._trail is None else b"%b.%d" % (self._trail.encode(), number)

    async def _put(self, event: Event) -> None:
        """Ask a handshake client while its request goes on, or tell the server why that cannot be."""
        where = self._flight.where
        told = self._told(event)
        if isinstance(told, Impossible) or where is None:
            reason = told.reason if isinstance(told, Impossible) else "the call is on its way elsewhere"
            self._flight.answer(event.seq, ask.refusal(jsonrpc.error(jsonrpc.METHOD_NOT_FOUND, reason)))
            return
        question = self._ways.questions.put(self._request.client, where, event.seq, told.method, told.body)
        await self._say(question, event.seq)

    async def _take_back(self, event: Event) -> None:
        where = self._flight.where
        if not self._modern and where is not None:
            number = msgspec.json.decode(event.data, type=int)
            await self._say(self._ways.questions.take_back(self._request.client, where, number), event.seq)

    def _told(self, event: Event) -> Ask | Impossible:
        client = self._request.client
        if not self._modern and not (client.interactive and self._responder.streams):
            return Impossible("this client takes no streams, so it cannot be asked anything")
        asked = ask.read_ask(event.data)
        told = ask_for(client.revision, asked.method, asked.body, self._elicitation_id(event))
        return told if isinstance(told, Impossible) else Ask(asked.method, jsonrpc.raw_bytes(told))

    def _elicitation_id(self, event: Event) -> str:
        where = self._flight.where
        return "" if where is None else f"{where.exchange_id.hex()}-{event.seq}"

    async def _park(self, event: Event) -> str:
        """Let the call wait in its backend, and send the client away with the question."""
        where, told = self._flight.where, self._told(event)
        assert where is not None, "an event comes from somewhere"  # noqa: S101
        assert not isinstance(told, Impossible), "whatever was asked before has a modern form"  # noqa: S101
        self._flight.leave()
        seconds = self._backend.park_seconds
        result = self._ways.bridge.parked(self._request, where, {event.seq: told}, seconds)
        await self._responder.finish(200, jsonrpc.result_response(self._request.id, result))
        return ASKED

    async def _fail(self, failure: Failure) -> None:
        if failure.kind is FailureKind.SUPERSEDED and self._trail is not None:
            await self._responder.end()  # the client came back elsewhere, and an error here would count as its answer
            return
        if failure.kind is FailureKind.CONSENT:
            client = self._request.client
            url = self._ways.invitations.url(client.principal, failure.backend, self._headers)
            await self._responder.finish(200, invitation(self._request, failure, url, self._ways.bridge))
            return
        error = failure_error(failure)
        code = jsonrpc.decode_error(error).code
        status = ERROR_STATUS.get(code, 200) if self._modern else 200
        if failure.kind is FailureKind.SESSION_LOST and self._request.client.endpoint:
            status = 404  # the session has ended with its state (2025-11-25, basic/transports, Session Management)
        await self._responder.finish(status, jsonrpc.error_response(self._request.id, error), retry_after(failure))

    async def _show_error(self, reply: Reply) -> None:
        request = self._request
        first = url_requests(reply.body)
        if first and self._modern and (where := self._flight.where) is not None:
            await self._show(self._ways.bridge.again(request, where, first))
            return
        if first and request.client.revision < PRIMED_SINCE and (text := url_result(first)) is not None:
            await self._show(text)
            return
        code, error = error_for(request.client.era, request.method, reply)
        status = ERROR_STATUS.get(code, 200) if self._modern else 200
        await self._responder.finish(status, jsonrpc.error_response(request.id, error))

    async def _show_result(self, reply: Reply) -> None:
        request, where = self._request, self._flight.where
        members = input_required(reply.body) if self._modern and reply.era is Era.MODERN else None
        if members is not None and where is not None:
            await self._show(self._ways.bridge.handed(request, where, members))
            return
        result = result_for(request.client.revision, request.method, reply)
        if result is None:
            detail = (
                NOT_ASKED if input_required(reply.body) else "it gave a type of result that this client does not know"
            )
            await self._fail(Failure(FailureKind.UNSUPPORTED, self._backend.name, detail))
        elif self._modern and reply.era is Era.MODERN and where is not None:
            await self._show_task(result, where)
        else:
            await self._show(result)

    async def _show_task(self, result: bytes, where: Where) -> None:
        """Show a result that may be a task: under an id that leads back to its replica."""
        shown = with_own_id(self._ways.tasks, self._request, where.replica, result)
        if shown is None:
            await self._fail(Failure(FailureKind.PROTOCOL, self._backend.name, "the id of its task is too long"))
        else:
            await self._show(shown)

    async def _show(self, result: bytes) -> None:
        await self._responder.finish(200, jsonrpc.result_response(self._request.id, result))


def retry_after(failure: Failure) -> Headers:
    """The header that says when to come back, in whole seconds, if that is known (RFC 9110, section 10.2.3).

    The status beside it is that of any answer: clients take others than 200 for a broken transport.
    """
    seconds = failure.retry_after
    return () if seconds is None else ((b"retry-after", b"%d" % max(1, math.ceil(seconds))),)


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
