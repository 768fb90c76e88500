"""The little of ASGI that the ingress needs, without a framework between: a request read whole, a response written."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
TEXT: Final = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
EVENT_STREAM: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # asks proxies not to hold events back (2026-07-28, basic/transports)
)


class BodyTooLarge(Exception):  # noqa: N818 - what it is to the client, not to us
    """The request body is over the limit."""


class ClientGone(Exception):  # noqa: N818 - it may happen at any time and is nobody's error
    """The client left before its request was whole."""


def header_map(headers: Headers) -> Mapping[bytes, bytes]:
    """Headers by lower-case name; of a repeated one, the last."""
    return {name: value.strip() for name, value in headers}


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The whole request body, at most `limit` bytes.

    Raises:
        BodyTooLarge: it is, or says that it will be, larger.
        ClientGone: the rest will not come.
    """
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLarge
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge
        return body
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message.get("body", b"")
        if len(parts) > limit:
            raise BodyTooLarge
        if not message.get("more_body"):
            return bytes(parts)
        message = await receive()
    raise ClientGone


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
