"""The little of ASGI that the ingress needs, without a framework between: a request read whole, a response written."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

import msgspec

from actors.core import jsonrpc

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
EVENT_STREAM: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # asks proxies not to hold events back (2026-07-28, basic/transports)
)

BODY_SECONDS: Final = 60.0
"""How long a request body may take to arrive; whoever needs longer holds a place and sends nothing."""


class BodyTooLarge(Exception):  # noqa: N818 - what it is to the client, not to us
    """The request body is over the limit."""


class BodyTooSlow(Exception):  # noqa: N818 - as above
    """The request body did not arrive in time."""


class ClientGone(Exception):  # noqa: N818 - it may happen at any time and is nobody's error
    """The client left before its request was whole."""


def header_map(headers: Headers) -> Mapping[bytes, bytes]:
    """Headers by lower-case name; the values of a repeated one joined by commas (RFC 9110, 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        text = value.strip()
        found[name] = text if name not in found else found[name] + b", " + text
    return found


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], limit: int, seconds: float = BODY_SECONDS
) -> bytes:
    """The whole request body, at most `limit` bytes, within `seconds`.

    Raises:
        BodyTooLarge: it is, or says that it will be, larger.
        BodyTooSlow: it is not whole in time.
        ClientGone: the rest will not come.
    """
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLarge
    try:
        async with asyncio.timeout(seconds):
            return await _gather(receive, limit)
    except TimeoutError:
        raise BodyTooSlow from None


class HttpRequest(msgspec.Struct, frozen=True):
    """One request whose head was read, and the way to answer it."""

    method: str
    path: str
    query: bytes
    raw_headers: Headers
    headers: Mapping[bytes, bytes]
    """As `header_map` makes them."""
    receive: Receive
    send: Send
    max_body_bytes: int
    body_seconds: float
    ip: str = ""
    """See `Caller.ip`."""

    @property
    def scope(self) -> Scope:
        """What decides about credentials: the request as far as a proof is about it."""
        return {"method": self.method, "path": self.path, "headers": self.raw_headers}

    async def body(self) -> bytes:
        """See `read_body`."""
        return await read_body(self.receive, self.headers, self.max_body_bytes, self.body_seconds)


async def _gather(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while (message := await receive())["type"] == "http.request":
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BodyTooLarge
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
    raise ClientGone


async def refuse(send: Send, status: int, reason: str, more: Headers = ()) -> None:
    """An error outside of any MCP method, with a JSON-RPC body: a bare one would look like an old server to clients."""
    error = jsonrpc.error_response(b"null", jsonrpc.error(jsonrpc.INVALID_REQUEST, reason))
    await respond(send, status, error, [JSON, *more])


async def respond(send: Send, status: int, body: bytes, headers: Headers = (JSON,)) -> None:
    """Write a whole response."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})
