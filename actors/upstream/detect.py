"""Finds out which era a server is of, and opens the conversation in it."""

import asyncio
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
    dies of the question is started again for the handshake. One which is silent for `PROBE_LIMIT` is asked the old
    way too, and may still give a modern answer: it may only be slow to start. `known` is the era it had the last time.

    Raises:
        OSError: it cannot be started or reached.
        UpstreamError: it speaks neither era.
    """
    transport = await connect()
    try:
        if known is not Era.HANDSHAKE:
            asking = Asking(transport)
            try:
                return transport, await _discover(asking, backend, notified, limit)
            except UpstreamError as refusal:
                log.debug("not_modern", backend=backend, reason=str(refusal))
                if refusal.kind is FailureKind.UNAVAILABLE:
                    raise
                if refusal.kind is FailureKind.DISCONNECTED:
                    await transport.close()
                    transport = await connect()
                    asking = Asking(transport)
        else:
            asking = Asking(transport)
        handshake = HandshakeUpstream(asking, backend, notified)
        await handshake.initialize(limit)
    except BaseException:
        await transport.close()
        raise
    return transport, handshake


async def _discover(
    asking: Asking, backend: str, notified: Notified, limit: float
) -> ModernUpstream | HandshakeUpstream:
    """The conversation that the first good answer opens, of the modern question and, if need be, the old one."""
    modern, handshake = ModernUpstream(asking, backend, notified), HandshakeUpstream(asking, backend, notified)
    discovering = asyncio.ensure_future(modern.discover(limit))
    questions: dict[asyncio.Future[None], ModernUpstream | HandshakeUpstream] = {discovering: modern}
    try:
        await asyncio.wait({discovering}, timeout=PROBE_LIMIT)
        if discovering.done():
            discovering.result()
            return modern
        log.info("slow_to_discover", backend=backend, seconds=PROBE_LIMIT)
        questions[asyncio.ensure_future(handshake.initialize(limit))] = handshake
        waiting = set(questions)
        while True:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for question in sorted(done, key=lambda question: question is not discovering):
                if question.exception() is None or not waiting:
                    question.result()
                    return questions[question]
    finally:
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
