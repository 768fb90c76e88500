"""The HTTP+SSE transport: a stream for what the client is to hear, and POSTs for what it says.

Source: 2024-11-05, basic/transports, HTTP with SSE. The address that a client posts to says where its stream is,
sealed for the client's principal, so that any ingress replica can take what it posts.
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import parse_qs

from actors.core import jsonrpc, sse
from actors.core.envelope import Malformed, read_batch, read_message
from actors.core.limits.admission import STATUS, Reason
from actors.core.seal import NONCE_BYTES, Seal
from actors.core.session_end import End
from serve_app.downstream.channels import Channels
from serve_app.downstream.entrance import Entrance
from serve_app.downstream.outgoing import Ending
from serve_app.downstream.responder import KEEP_ALIVE_SECONDS, HttpResponder, accepts_streams
from serve_app.downstream.standing import standing
from serve_app.http import HttpRequest
from serve_app.relay import Relay, decode_place, encode_place

PATH: Final = re.compile(r"(?:/servers/([^/]+))?/(sse|messages)/?")
"""The backend, if it is the endpoint of one, and which half of the transport."""


class SseDoor:
    """Opens streams, and takes POSTs for them."""

    def __init__(
        self,
        channels: Channels,
        relay: Relay,
        secret: bytes,
        *,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._channels = channels
        self._relay = relay
        self._seal = Seal(secret, "channel")
        self._keep_alive_seconds = keep_alive_seconds
        self._token_bytes = token_bytes

    async def open(self, request: HttpRequest, entrance: Entrance) -> None:
        """Answer a request for a stream, as long as there is something to say; cancelled when the client leaves."""
        responder = HttpResponder(request.send, streams=True)
        accept = request.headers.get(b"accept")
        if request.method != "GET":
            await _refuse(responder, 405, "this address is for GET, which opens a stream", allow=b"GET")
        elif accept is not None and not accepts_streams(accept):
            await _refuse(responder, 406, "GET opens a stream, and needs Accept: text/event-stream")
        elif self._channels.full:
            await _refuse(responder, 503, "too many streams are open here; try again later")
        else:
            async with self._channels.door.hold(entrance.caller, Reason.STREAMS, "GET", request.path) as refused:
                if refused is None:
                    await self._stream(responder, entrance)
                else:
                    await responder.finish(STATUS, jsonrpc.error_response(b"null", refused.error), refused.fields)

    async def post(self, request: HttpRequest, entrance: Entrance) -> None:
        """Take a message for a stream. Rungs, in order:

        1. It is a POST, with a body that is a message or a batch.
        2. Its address was given to this principal, for a stream that is still open.

        Raises:
            BodyTooLarge, BodyTooSlow, ClientGone: see `read_body`.
        """
        responder = HttpResponder(request.send, streams=True)
        if request.method != "POST":
            await _refuse(responder, 405, "this address is for POST", allow=b"POST")
            return
        body = await request.body()
        batch = read_batch(body)
        message = read_message(body) if batch is None else batch
        if isinstance(message, Malformed):
            await responder.finish(400, message.response)
            return
        given = parse_qs(request.query.decode("latin-1")).get("session", [""])[0]
        opened = self._seal.open(given, entrance.account)
        if opened is None or not await self._relay.deliver(decode_place(opened[0]), body):
            await _refuse(responder, 404, "there is no such stream; open another one")
        else:
            await responder.accept()

    async def _stream(self, responder: HttpResponder, entrance: Entrance) -> None:
        async def write(message: bytes) -> None:
            await responder.stream(sse.event(message, event="message"))

        with self._channels.open(entrance, write) as channel:
            place = await self._relay.place(channel.id)
            session = self._seal.close(encode_place(place), entrance.account, self._token_bytes(NONCE_BYTES))
            folder = f"/servers/{entrance.endpoint}" if entrance.endpoint else ""
            await responder.stream(sse.event(f"{folder}/messages?session={session}".encode(), event="endpoint"))
            living = asyncio.create_task(channel.run())
            beating = asyncio.create_task(self._beat(responder))
            over = partial(channel.part, End.REVOKED)
            try:
                with (
                    standing(entrance.check, over, self._keep_alive_seconds),
                    self._channels.standings.hold(entrance.caller.principal, over),
                ):
                    await asyncio.wait({living, beating}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                living.cancel()
                beating.cancel()
                await asyncio.gather(living, beating, return_exceptions=True)
        if not living.cancelled() and living.result() is not Ending.UNREAD:
            await responder.end()

    async def _beat(self, responder: HttpResponder) -> None:
        """Show that the stream lives, until that fails."""
        while True:
            await asyncio.sleep(self._keep_alive_seconds)
            await responder.keep_alive()


async def _refuse(responder: HttpResponder, status: int, reason: str, *, allow: bytes = b"") -> None:
    error = jsonrpc.error_response(b"null", jsonrpc.error(jsonrpc.INVALID_REQUEST, reason))
    await responder.finish(status, error, [(b"allow", allow)] if allow else [])
