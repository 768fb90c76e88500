"""Finds out which era a server is of, and opens the conversation in it."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from actors.core.outcome import FailureKind
from actors.core.revisions import Era
from actors.transports.transport import Transport
from actors.upstream.asking import Asking, UpstreamError
from actors.upstream.handshake import HandshakeUpstream
from actors.upstream.modern import ModernUpstream
from actors.upstream.upstream import Notified

PROBE_LIMIT: Final = 5.0
"""Seconds a server may take to answer `server/discover`; an old one may leave it unanswered."""

log = structlog.get_logger()

Connect = Callable[[], Awaitable[Transport]]
"""Gives a new, connected transport."""


async def open_upstream(
    connect: Connect, backend: str, notified: Notified, *, limit: float, known: Era | None = None
) -> tuple[Transport, ModernUpstream | HandshakeUpstream]:
    """Connect and speak first: modern, and if the server does not understand that, the handshake.

    What decides is that a modern answer came, never one error code (2026-07-28, basic/versioning). A server which
    dies of the question is started again for the handshake. `known` is the era it had the last time.

    Raises:
        OSError: it cannot be started or reached.
        UpstreamError: it speaks neither era.
    """
    transport = await connect()
    try:
        if known is not Era.HANDSHAKE:
            modern = ModernUpstream(Asking(transport), backend, notified)
            try:
                await modern.discover(min(PROBE_LIMIT, limit))
            except UpstreamError as refusal:
                log.debug("not_modern", backend=backend, reason=str(refusal))
                if refusal.kind is FailureKind.UNAVAILABLE:
                    raise
                if refusal.kind is FailureKind.DISCONNECTED:
                    await transport.close()
                    transport = await connect()
            else:
                return transport, modern
        handshake = HandshakeUpstream(Asking(transport), backend, notified)
        await handshake.initialize(limit)
    except BaseException:
        await transport.close()
        raise
    return transport, handshake
