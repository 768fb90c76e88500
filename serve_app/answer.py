"""The answer to one HTTP request on its way out: with the header fields that every answer has, and not for ever."""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final

from serve_app.http import ClientGone, Headers, Send

EVERYWHERE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
)

UNCACHED: Final = (b"cache-control", b"no-store")
"""For answers that say nothing of it themselves: any may hold what only its caller shall see."""

STAY_ENCRYPTED: Final = (b"strict-transport-security", b"max-age=31536000")
"""For a gateway that ends TLS itself: whoever has come once comes with TLS for a year (RFC 6797)."""

WRITE_SECONDS: Final = 60.0
"""How long a client may take to read a part of an answer; until then the part waits in memory."""


class Answer:
    """Writes an answer, and notes its status."""

    __slots__ = ("_seconds", "_send", "more", "status")

    def __init__(self, send: Send, more: Headers = (), seconds: float = WRITE_SECONDS) -> None:
        self._send = send
        self.more = more
        """Fields besides `EVERYWHERE`, where the answer does not say something else itself."""
        self._seconds = seconds
        self.status = 0

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """As `send` of ASGI.

        Raises:
            ClientGone: the client does not read.
        """
        if not self.status:
            self.status = message["status"]
            message["headers"] = self._whole(message["headers"])
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(message)
        except TimeoutError:
            raise ClientGone from None

    def _whole(self, own: Headers) -> list[tuple[bytes, bytes]]:
        headers = list(own)
        names = {name for name, _ in headers}
        headers += [field for field in (UNCACHED, *self.more) if field[0] not in names]
        headers += [field for field in EVERYWHERE if field[0] not in names]
        return headers
