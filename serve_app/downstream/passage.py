"""One request on its way to its backend and back, in the client's era: events, questions, and how it ended."""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from actors.bus.frames import Event, EventKind
from actors.core import ask, jsonrpc
from actors.core.ask import Ask
from actors.core.ask_forms import ask_for
from actors.core.impossible import Impossible
from actors.core.outcome import Failure, FailureKind, Outcome, Reply
from actors.core.principal import Principal
from actors.core.request import Request
from actors.core.revisions import Era
from actors.core.tally import ASKED, outcome_label
from actors.core.view import BackendView
from serve_app.downstream.conclusion import conclude
from serve_app.downstream.responder import Responder
from serve_app.downstream.ways import Ways
from serve_app.hedge import Course

PRIMED_SINCE: Final = "2025-11-25"
"""Clients from here on understand an event without data (2025-11-25, basic/transports, Sending Messages)."""

PRIME_SECONDS: Final = 1.0
"""A request that is silent for so long gets its first event id, so that its answer survives a broken connection."""


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
        principal: Principal,
        resumable: bool,
        trail: str | None = None,
        headers: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """`resumable` says whether the client can come back for what it missed, `trail` is what it came back with.

        `headers` are those of its request, where it came over HTTP; `principal` is whose it is.
        """
        self._headers = headers or {}
        self._principal = principal
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
        if isinstance(end, Failure) and end.kind is FailureKind.SUPERSEDED and self._trail is not None:
            await self._responder.end()  # the client came back elsewhere, and an error here would count as its answer
        else:
            where = self._flight.where
            whose = self._headers, self._principal
            told = conclude(self._ways, self._request, self._backend.name, end, where, *whose)
            await self._responder.finish(*told)
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
