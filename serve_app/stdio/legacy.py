"""A client of the handshake era: a session, its streams, and a new session if the gateway forgets it (2025-11-25)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import aiohttp
import structlog

from actors.core.jsonrpc import Message
from actors.core.outcome import FailureKind
from actors.transports.http_failure import Unanswered
from actors.transports.http_session import SESSION_HEADER
from serve_app.stdio.endpoint import TROUBLES, Endpoint
from serve_app.stdio.following import Pauses, follow
from serve_app.stdio.incoming import Answered, Asked, Told
from serve_app.stdio.relay import Relay, Say
from serve_app.stdio.session import Questions, Session, Wishes, opened

MAX_RESUMES: Final = 5
"""Attempts in a row to go on with a broken answer that bring nothing."""
GREETING_SECONDS: Final = 5.0
"""How long requests wait for the end of the handshake to arrive; a gateway that takes it so slowly has to cope."""
RENEW_SECONDS: Final = 30.0
DELETE_SECONDS: Final = 0.5

INITIALIZE: Final = "initialize"
INITIALIZED: Final = "notifications/initialized"

FORGOTTEN: Final = Unanswered(FailureKind.UNAVAILABLE, "it does not know the session any more; initialize again")
CHANGED: Final = Unanswered(FailureKind.UNAVAILABLE, "it came back with another revision; initialize again")

log = structlog.get_logger()


class Legacy:
    """Answers the requests of a legacy client, and writes what the server says by itself."""

    def __init__(self, endpoint: Endpoint, say: Say, pauses: Pauses) -> None:
        self._endpoint = endpoint
        self._say = say
        self._pauses = pauses
        self._session: Session | None = None
        self._initialize: Asked | None = None
        self._initialized: bytes | None = None
        self._opened = _done()
        self._greeted = _done()
        self._renewing = asyncio.Lock()
        self._wishes = Wishes()
        self._questions = Questions()
        self._listener: asyncio.Task[None] | None = None

    @property
    def revision(self) -> str | None:
        """What the handshake agreed on, if there was one."""
        return None if self._session is None else self._session.revision

    def announce(self, method: str) -> None:
        """Take note of a message as soon as it is read, so that what is read after it waits for it."""
        if method == INITIALIZE:
            self._opened.clear()
        elif method == INITIALIZED:
            self._greeted.clear()

    async def settled(self) -> None:
        """Return when no handshake is under way."""
        await self._opened.wait()

    async def answer(self, asked: Asked) -> bytes:
        """Pass a request on, and what the gateway says before its response; gives the response.

        A stream that breaks before it is resumed. What a forgotten session refused is repeated once in a new one: it
        has not run. What may have run is not.
        """
        if asked.method == INITIALIZE:
            return await self._handshake(asked)
        await self.settled()
        with suppress(TimeoutError):
            async with asyncio.timeout(GREETING_SECONDS):
                await self._greeted.wait()
        relay = Relay(self._endpoint, asked.id, self._hear)
        session, trouble = await self._post(asked.body, relay.read, side=False)
        if trouble is not None and trouble.kind is FailureKind.DISCONNECTED and relay.last_event_id:
            trouble = await self._resume(relay, session, trouble)
        if relay.response is not None and relay.response.message.result:
            self._wishes.note(asked)
        return relay.line(trouble)

    async def tell(self, told: Told) -> None:
        """Pass a notification on. The one that ends the handshake opens the stream for what the server says itself."""
        try:
            session, trouble = await self._post(told.body, self._accepted, side=True)
            if told.method == INITIALIZED:
                self._initialized = told.body
                self._listen(session)
        finally:
            if told.method == INITIALIZED:
                self._greeted.set()
        if trouble is not None:
            log.warning("notification_refused", method=told.method, reason=trouble.detail)

    async def reply(self, answered: Answered) -> None:
        """Pass on the answer to a request of the server, unless the session in which it asked is over."""
        session = self._session
        asked_in = self._questions.take(answered.id)
        if asked_in is not None and asked_in is not session:
            log.info("answer_dropped", reason="it belongs to a session that is over")
            return
        trouble = await self._attempt(answered.body, session, self._accepted, side=True)
        if trouble is not None:
            log.warning("answer_refused", reason=trouble.detail)

    async def close(self) -> None:
        """End the stream and the session."""
        if self._listener is not None:
            self._listener.cancel()
        if self._session is not None:
            await self._delete(self._session)

    async def _handshake(self, asked: Asked) -> bytes:
        try:
            before, self._session = self._session, None
            self._listen(None)
            if before is not None:
                await self._delete(before)
            relay = Relay(self._endpoint, asked.id, self._hear)
            session, trouble = await self._open(asked, relay)
            if session is not None:
                self._session, self._initialize, self._wishes = session, asked, Wishes()
            return relay.line(trouble)
        finally:
            self._opened.set()

    async def _open(self, asked: Asked, relay: Relay) -> tuple[Session | None, Unanswered | None]:
        offered: str | None = None
        trouble: Unanswered | None
        try:
            async with self._endpoint.send("POST", {}, asked.body, side=False) as response:
                offered = response.headers.get(SESSION_HEADER)
                trouble = await relay.read(response)
        except TROUBLES as error:
            trouble = self._endpoint.trouble(error)
        if relay.response is None or not relay.response.message.result:
            return None, trouble
        return opened(offered, relay.response.message), trouble

    async def _post(self, body: bytes, read: "_Read", *, side: bool) -> tuple[Session | None, Unanswered | None]:
        """Post in the session, or in a new one if the gateway has forgotten it; gives the session that it was."""
        session = self._session
        trouble = await self._attempt(body, session, read, side=side)
        if trouble is not FORGOTTEN or session is None:
            return session, trouble
        renewed = await self._renew(session)
        if isinstance(renewed, Unanswered):
            return session, renewed
        return renewed, await self._attempt(body, renewed, read, side=side)

    async def _attempt(self, body: bytes, session: Session | None, read: "_Read", *, side: bool) -> Unanswered | None:
        try:
            async with self._endpoint.send("POST", _headers(session), body, side=side) as response:
                if response.status == 404 and session is not None and session.id is not None:
                    return FORGOTTEN
                return await read(response)
        except TROUBLES as error:
            return self._endpoint.trouble(error)

    async def _accepted(self, response: aiohttp.ClientResponse) -> Unanswered | None:
        return self._endpoint.refused(response) if response.status >= 300 else None

    async def _resume(self, relay: Relay, session: Session | None, trouble: Unanswered) -> Unanswered | None:
        await self._pauses.take(relay, 0)
        end = await follow(self._endpoint, _headers(session), relay, self._pauses, side=False, max_failures=MAX_RESUMES)
        if end is None:
            return None
        # The request may have run, whatever became of the stream that was to bring its response.
        return end.reason if end.reason.kind is FailureKind.TOO_LARGE else trouble

    async def _renew(self, lost: Session) -> Session | Unanswered:
        """Open a session in place of one that the gateway has forgotten, once for all who notice."""
        async with self._renewing:
            if self._session is not lost:
                return self._session or FORGOTTEN
            try:
                async with asyncio.timeout(RENEW_SECONDS):
                    return await self._begin_again(lost)
            except TimeoutError:
                return FORGOTTEN

    async def _begin_again(self, lost: Session) -> Session | Unanswered:
        """Repeat the client's own handshake and what it set up since, and take the same agreement only."""
        if self._initialize is None:
            return FORGOTTEN
        session, _ = await self._open(self._initialize, Relay(self._endpoint, self._initialize.id, _ignore))
        if session is None:
            return FORGOTTEN
        if session.revision != lost.revision:
            await self._delete(session)
            return CHANGED
        if self._initialized is not None:
            trouble = await self._attempt(self._initialized, session, self._accepted, side=True)
            if trouble is not None:
                return FORGOTTEN
        for wish in self._wishes.all():
            relay = Relay(self._endpoint, wish.id, _ignore)
            trouble = await self._attempt(wish.body, session, relay.read, side=True)
            if trouble is not None:
                log.warning("wish_lost", method=wish.method, reason=trouble.detail)
        log.info("session_renewed")
        self._session = session
        if self._initialized is not None:
            self._listen(session)
        return session

    def _listen(self, session: Session | None) -> None:
        before = self._listener
        if before is not None and before is not asyncio.current_task():
            before.cancel()
        if session is not None:
            self._listener = asyncio.get_running_loop().create_task(self._follow(session))

    async def _follow(self, session: Session) -> None:
        relay = Relay(self._endpoint, None, self._hear)
        end = await follow(self._endpoint, session.headers, relay, self._pauses, side=True)
        if end is None or end.status == 405:  # it has no such stream
            return
        log.info("stream_ended", reason=end.reason.detail)
        # Of a gateway that never gave a stream, 404 only says that it has none.
        if end.status == 404 and end.accepted:
            await self._renew(session)

    async def _delete(self, session: Session) -> None:
        if session.id is None:
            return
        try:
            async with (
                asyncio.timeout(DELETE_SECONDS),
                self._endpoint.send("DELETE", session.headers, side=True),
            ):
                return
        except TROUBLES:  # the gateway need not agree, and ends what is idle by itself
            log.info("session_not_ended")

    async def _hear(self, line: bytes, message: Message) -> None:
        if message.id and self._session is not None:
            self._questions.note(bytes(message.id), self._session)
        await self._say(line)


_Read = Callable[[aiohttp.ClientResponse], Awaitable[Unanswered | None]]


def _headers(session: Session | None) -> Mapping[str, str]:
    return {} if session is None else session.headers


def _done() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def _ignore(line: bytes, message: Message) -> None:
    return
