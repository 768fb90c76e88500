"""Where connections from other nodes come in: TLS asks for a certificate before a byte of the bus is read."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

import structlog

from actors.core.link_refusal import LinkRefusal

MAX_ENTERING: Final = 64
"""Connections that TLS is not done with; more are closed at once, before a byte is read."""

RETRY_SECONDS: Final = 1.0
"""Before the next connection is taken where one could not be, most likely for want of file descriptors."""

log = structlog.get_logger()


class Entrance:
    """Belongs to one event loop; open from its making until `close`."""

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        seconds: float,
        *,
        admit: Callable[[ssl.SSLObject], asyncio.Protocol | None],
        refused: Callable[[LinkRefusal, str], None],
    ) -> None:
        """`seconds` is how long the TLS of one connection may take.

        `admit` gives the protocol that a connection belongs to from then on, or nothing if it shall be closed;
        `refused` hears why one was not let in.
        """
        self._listening = listening
        self._context = context
        self._seconds = seconds
        self._admit = admit
        self._refused = refused
        self._entering: set[asyncio.Task[None]] = set()
        self._life = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Let nobody in any more."""
        self._life.cancel()
        for task in list(self._entering):
            task.cancel()
        self._listening.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                taken, _ = await loop.sock_accept(self._listening)
            except OSError as error:
                log.warning("connection_not_taken", reason=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await asyncio.sleep(0)  # where many come at once, nothing above has waited, and others want a turn
            if len(self._entering) >= MAX_ENTERING:
                taken.close()
                self._refused(LinkRefusal.CROWD, "too many connections whose TLS is not done")
                continue
            with suppress(OSError):  # it is gone already, which TLS will notice
                taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._enter(taken))
            self._entering.add(task)
            task.add_done_callback(self._entering.discard)

    async def _enter(self, taken: socket.socket) -> None:
        arrival = _Arrival(self._admit)
        try:
            async with asyncio.timeout(self._seconds):
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: arrival, taken, ssl=self._context, ssl_handshake_timeout=self._seconds
                )
        except OSError as error:  # TimeoutError and ssl.SSLError are some
            self._refused(*tls_fault(error))
        else:
            if not arrival.admitted:
                self._refused(LinkRefusal.KEY, "TLS: its key is accepted no longer")


class _Arrival(asyncio.Protocol):
    """Hands a connection over as soon as TLS has let it in."""

    def __init__(self, admit: Callable[[ssl.SSLObject], asyncio.Protocol | None]) -> None:
        self._admit = admit
        self.admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        inner = cast(asyncio.Transport, transport)
        protocol = self._admit(inner.get_extra_info("ssl_object"))
        if protocol is None:
            inner.abort()
            return
        self.admitted = True
        inner.set_protocol(protocol)
        protocol.connection_made(inner)


def tls_fault(error: OSError) -> tuple[LinkRefusal, str]:
    """What went wrong in a TLS handshake, without anything that the peer sent."""
    reason = str(getattr(error, "reason", None) or "") if isinstance(error, ssl.SSLError) else ""
    why = LinkRefusal.CERTIFICATE if "CERTIFICATE" in reason else LinkRefusal.HANDSHAKE
    return why, f"TLS: {reason or type(error).__name__}"
