"""One two-way connection of a client of the handshake era, whatever carries it: a session, and messages both ways.

What arrives is taken at once, whether or not the client reads what is sent to it: nothing between here and the client
is certain to hold it back. So all that may pile up has a limit, and whoever goes beyond is refused or cut off.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from actors.core import jsonrpc
from actors.core.client import Client
from actors.core.envelope import Envelope, Incoming, Malformed, Response, read_batch, read_message
from actors.core.offer import Offer
from actors.core.session_end import End
from serve_app.downstream.channel_refusal import CLOSING, refusal_of
from serve_app.downstream.channel_responder import ChannelResponder, Gathered, Say
from serve_app.downstream.door import Door
from serve_app.downstream.entrance import Entrance
from serve_app.downstream.legacy import DEFAULT_LEVEL, Legacy
from serve_app.downstream.legacy_http import BATCHED
from serve_app.downstream.outgoing import WRITE_SECONDS, Ending, Outgoing, Write
from serve_app.downstream.streams import Streams
from serve_app.downstream.visit import Visit
from serve_app.http import ClientGone
from serve_app.sessions import Sessions

INITIALIZE_SECONDS: Final = 60.0
"""How long a connection may take to say who it is."""

CANCELLED: Final = "notifications/cancelled"
GATEWAY_FAILED: Final = jsonrpc.error(jsonrpc.INTERNAL_ERROR, "the gateway failed on this request; see its log")
NO_SERVER: Final = jsonrpc.error(jsonrpc.INTERNAL_ERROR, "the server of this endpoint is gone")
NO_BATCH: Final = Malformed(jsonrpc.INVALID_REQUEST, f"batches are for sessions of {' and '.join(sorted(BATCHED))}")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Common:
    """What all channels of an ingress replica share."""

    door: Door
    legacy: Legacy
    sessions: Sessions
    streams: Streams
    initialize_seconds: float = INITIALIZE_SECONDS
    write_seconds: float = WRITE_SECONDS


class Channel:
    """Takes what the client sends, and sends what it is to hear. Made by `Channels`; belongs to one event loop."""

    def __init__(self, channel_id: bytes, common: Common, entrance: Entrance, write: Write) -> None:
        self.id = channel_id
        self._common = common
        self._entrance = entrance
        self._outgoing = Outgoing(write, common.write_seconds)
        self._turn = asyncio.Lock()
        self._begun = asyncio.Event()
        self._client: Client | None = None
        self._requests: dict[asyncio.Task[None], ChannelResponder] = {}
        self._closing = False
        self._closed = False
        self._why = End.CLIENT

    async def run(self) -> Ending:
        """Tell the client what changes until there is nothing more to say."""
        life = asyncio.create_task(self._live())
        over = self._outgoing.over
        try:
            await asyncio.wait({life, over}, return_when=asyncio.FIRST_COMPLETED)
            return over.result() if over.done() else life.result()
        finally:
            life.cancel()

    async def take(self, body: bytes) -> bool:
        """Take a message of the client, or a batch, after those before; false if it is neither.

        It is not waited for until the client has read what comes of it.
        """
        async with self._turn:
            batch = read_batch(body)
            message = read_message(body) if batch is None else batch
            if isinstance(message, Malformed):
                self.refuse(message)
            elif isinstance(message, list):
                await self._take_batch(message)
            else:
                await self._take_one(message)
            return not isinstance(message, Malformed)

    def refuse(self, malformed: Malformed) -> None:
        """Tell the client that it sent what is no message."""
        self._outgoing.reply(malformed.response)

    def close(self) -> None:
        """Stop: the client is not there any more, or shall not be."""
        self._closed = True
        self._outgoing.close()
        for task in self._requests:
            task.cancel()

    def part(self, why: End) -> None:
        """Have `run` end, and the session with it for this reason."""
        self._why = why
        self._outgoing.end(Ending.ENDED)

    @property
    def is_revoked(self) -> bool:
        """Whether it ended because its client's credential is worth nothing any more."""
        return self._why is End.REVOKED

    async def settle(self) -> None:
        """After `close`: cancel what ran for the client, and end its session."""
        client, offer = self._client, self._entrance.find_offer()
        if client is None:
            return
        if offer is not None:
            visit = self._visit(offer, self._outgoing.responder(b"null"))
            for responder in self._requests.values():
                params = {"requestId": msgspec.Raw(responder.request_id)}
                await self._common.legacy.handle(visit, client, Envelope(CANCELLED, None, params, {}))
        self._requests.clear()
        await self._common.legacy.end(client, self._reason)

    async def _live(self) -> Ending:
        try:
            async with asyncio.timeout(self._common.initialize_seconds):
                await self._begun.wait()
        except TimeoutError:
            return Ending.SILENT
        assert self._client is not None, "it has begun"  # noqa: S101
        try:
            await self._common.streams.run(self._outgoing.responder(b"null"), self._client)
        except ClientGone:
            return Ending.UNREAD
        self._closing = True
        if self._requests:
            await asyncio.wait(set(self._requests))
        await self._outgoing.sent()
        return Ending.ENDED

    async def _take_batch(self, messages: list[Incoming]) -> None:
        if self._client is None or self._client.revision not in BATCHED:
            self.refuse(NO_BATCH)
            return
        gathered = Gathered(messages, self._outgoing.say)
        for message in messages:
            if isinstance(message, Malformed):
                self._outgoing.reply(message.response, gathered.add)
            else:
                await self._take_one(message, gathered.add)

    async def _take_one(self, message: Envelope | Response, last: Say | None = None) -> None:
        """`last` is where the answer goes, if not straight to the client."""
        asked = message.id if isinstance(message, Envelope) else None
        refusal = None
        if isinstance(message, Envelope):
            endpoint, opened, under_way = self._entrance.endpoint, self._client is not None, len(self._requests)
            refusal = refusal_of(message, endpoint, opened=opened, closing=self._closing, under_way=under_way)
        if asked is not None and refusal is not None:
            self._outgoing.reply(jsonrpc.error_response(asked, refusal), last)
        elif self._client is not None:
            await self._hand_on(message, self._client, last)
        elif isinstance(message, Envelope) and asked is not None:
            if message.method == "initialize":
                await self._initialize(message, asked)
            else:
                self._outgoing.reply(jsonrpc.result_response(asked, b"{}"), last)  # a ping

    async def _initialize(self, envelope: Envelope, asked: bytes) -> None:
        offer = self._entrance.find_offer()
        if offer is None:
            self._outgoing.reply(jsonrpc.error_response(asked, NO_SERVER))
            return
        visit = self._visit(offer, self._outgoing.responder(asked))
        try:
            opened = await self._common.legacy.initialize(visit, envelope)
            if opened is None:
                return
            request, result, session_id = opened
            self._client = await self._common.legacy.find(visit, session_id)
            if self._client is None or self._closed:
                await self._turn_out(self._client)
                return
            await self._common.door.answer(visit, request, result)
        except ClientGone:
            return
        self._begun.set()

    async def _turn_out(self, client: Client | None) -> None:
        """The session has ended before it was of use, or its client has gone."""
        self._outgoing.end(Ending.ENDED)
        if client is not None:
            await self._common.legacy.end(client, self._reason)

    @property
    def _reason(self) -> End:
        """Why the session ends with this channel."""
        return End.STOP if self._why is End.CLIENT and self._common.streams.closing else self._why

    async def _hand_on(self, message: Envelope | Response, client: Client, last: Say | None) -> None:
        asked = message.id if isinstance(message, Envelope) else None
        state = await self._common.door.bindings.find(client.session, client.account, client.endpoint)
        offer = self._entrance.find_offer()
        if state is None:
            self._common.streams.changed(client.session, None)
        if state is None or offer is None:
            if asked is not None:
                error = CLOSING if state is None else NO_SERVER
                self._outgoing.reply(jsonrpc.error_response(asked, error), last)
            return
        self._common.sessions.touch(client.session)
        client = msgspec.structs.replace(client, log_level=state.log_level or DEFAULT_LEVEL)
        responder = self._outgoing.responder(asked or b"null", last)
        visit = self._visit(offer, responder)
        if asked is not None:
            task = asyncio.create_task(self._answer(visit, client, message))
            self._requests[task] = responder
            task.add_done_callback(self._answered)
            return
        if isinstance(message, Envelope) and message.method == CANCELLED:
            self._silence(bytes(message.params.get("requestId", b"")))
        await self._common.legacy.handle(visit, client, message)

    async def _answer(self, visit: Visit, client: Client, message: Envelope | Response) -> None:
        try:
            await self._common.legacy.handle(visit, client, message)
        except ClientGone:
            return
        except Exception:
            log.exception("request_failed", endpoint=self._entrance.endpoint)
            with suppress(ClientGone):
                await visit.responder.finish(500, jsonrpc.error_response(message.id or b"null", GATEWAY_FAILED))

    def _answered(self, task: asyncio.Task[None]) -> None:
        if not self._closed:  # else `settle` has to know of it
            self._requests.pop(task, None)

    def _silence(self, request_id: bytes) -> None:
        for responder in self._requests.values():
            if responder.request_id == request_id:
                responder.silence()

    def _visit(self, offer: Offer, responder: ChannelResponder) -> Visit:
        return Visit(offer, self._entrance.caller, {}, responder)
