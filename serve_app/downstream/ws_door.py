"""MCP over a WebSocket, in the handshake era: each text frame is a message, both ways.

No revision of MCP defines this transport; the subprotocol `mcp` and the frames are those of the official SDKs.
"""

import asyncio
import re
from dataclasses import dataclass
from functools import partial
from typing import Final

from actors.core import jsonrpc
from actors.core.envelope import Malformed
from actors.core.session_end import End
from serve_app.denial import Denial
from serve_app.downstream.channel import Channel
from serve_app.downstream.channels import Channels
from serve_app.downstream.entrance import Entrance
from serve_app.downstream.outgoing import Ending
from serve_app.downstream.standing import UNAUTHORIZED, Check, until_unwelcome
from serve_app.http import JSON, Receive, Scope, Send

PATH: Final = re.compile(r"(?:/servers/([^/]+))?/ws/?")
"""The backend, if it is the endpoint of one."""

SUBPROTOCOL: Final = "mcp"

MAX_MALFORMED: Final = 3
"""Frames in a row that are no messages; whoever sends so many does not speak JSON-RPC."""

CHECK_SECONDS: Final = 15.0
"""Between two looks whether the client is still welcome."""

BINARY: Final = Malformed(jsonrpc.PARSE_ERROR, "a message is a text frame")
DENIAL_EXTENSION: Final = "websocket.http.response"


@dataclass(frozen=True, slots=True)
class Parting:
    """How a connection is closed: a code of RFC 6455, 7.4, or of our own, and a sentence."""

    code: int
    reason: str


TOO_LARGE: Final = Parting(1009, "a message is too large")
GARBAGE: Final = Parting(1007, f"{MAX_MALFORMED} frames in a row were no messages")
FAILED: Final = Parting(1011, "the gateway failed on this connection; see its log")
NOT_WELCOME: Final = 4000 + UNAUTHORIZED
"""As HTTP's 401."""
REVOKED: Final = Parting(NOT_WELCOME, "the credential of this connection was revoked")

PARTINGS: Final = {
    Ending.SILENT: Parting(1008, Ending.SILENT.value),
    Ending.ENDED: Parting(1001, Ending.ENDED.value),
    Ending.UNREAD: Parting(1008, Ending.UNREAD.value),
}


class WsDoor:
    """Carries channels over WebSockets."""

    def __init__(self, channels: Channels, *, check_seconds: float = CHECK_SECONDS) -> None:
        self._channels = channels
        self._check_seconds = check_seconds

    @property
    def full(self) -> bool:
        """Whether no more connections can be taken."""
        return self._channels.full

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, entrance: Entrance, check: Check, *, max_bytes: int
    ) -> None:
        """Accept a connection, and keep it as long as both sides want it; messages of clients have a limit."""

        async def write(message: bytes) -> None:
            await send({"type": "websocket.send", "text": message.decode()})

        if (await receive())["type"] != "websocket.connect":
            return
        offered = SUBPROTOCOL in scope.get("subprotocols", ())
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})
        with (
            self._channels.open(entrance, write) as channel,
            self._channels.standings.hold(entrance.caller.principal, partial(channel.part, End.REVOKED)),
        ):
            ways = [self._live(channel), self._read(receive, channel, max_bytes), self._watch(check)]
            tasks = [asyncio.create_task(way) for way in ways]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            parting = done.pop().result()
            if parting is not None and parting.code == NOT_WELCOME:
                channel.part(End.REVOKED)
        if parting is not None:
            await part(send, parting)

    async def _live(self, channel: Channel) -> Parting | None:
        ending = await channel.run()
        return REVOKED if channel.is_revoked else PARTINGS[ending]

    async def _read(self, receive: Receive, channel: Channel, max_bytes: int) -> Parting | None:
        """Take what comes until the client has gone, which needs no parting, or until it is enough."""
        malformed = 0
        while (frame := await receive())["type"] == "websocket.receive":
            text = frame.get("text")
            body = b"" if text is None else text.encode()
            if len(body) > max_bytes:
                return TOO_LARGE
            if text is None:
                channel.refuse(BINARY)
            elif await channel.take(body):
                malformed = -1
            malformed += 1
            if malformed == MAX_MALFORMED:
                return GARBAGE
            await asyncio.sleep(0)  # frames may wait in numbers, and nobody else would have a turn among them
        return None

    async def _watch(self, check: Check) -> Parting | None:
        denial = await until_unwelcome(check, self._check_seconds)
        return Parting(NOT_WELCOME, denial.reason)


async def deny(scope: Scope, receive: Receive, send: Send, denial: Denial) -> None:
    """Refuse a connection, over HTTP where the server can do that."""
    await receive()
    if DENIAL_EXTENSION not in (scope.get("extensions") or {}):
        await part(send, Parting(4000 + denial.status, denial.reason))
        return
    body = jsonrpc.error_response(b"null", jsonrpc.error(jsonrpc.INVALID_REQUEST, denial.reason))
    length = (b"content-length", b"%d" % len(body))
    start = {"type": f"{DENIAL_EXTENSION}.start", "status": denial.status, "headers": [JSON, length, *denial.headers]}
    await send(start)
    await send({"type": f"{DENIAL_EXTENSION}.body", "body": body})


async def part(send: Send, parting: Parting) -> None:
    """Close a connection, whether or not it was accepted."""
    await send({"type": "websocket.close", "code": parting.code, "reason": parting.reason})
