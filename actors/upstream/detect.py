"""Finds out which era a server is of, and opens the conversation in it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from actors.core.identity import BRIDGED_CAPABILITIES
from actors.core.outcome import FailureKind
from actors.core.revisions import Era
from actors.transports.transport import Transport
from actors.upstream.asking import Asking, UpstreamError
from actors.upstream.handshake import HandshakeUpstream
from actors.upstream.modern import ModernUpstream
from actors.upstream.upstream import Notified, Upstream

PROBE_SECONDS: Final = 5.0
"""How long a server may be silent on `server/discover` before it is asked the old way, too."""

_GONE: Final = frozenset({FailureKind.DISCONNECTED, FailureKind.UNAVAILABLE})

_FINAL: Final = frozenset({FailureKind.UNAVAILABLE, FailureKind.CONSENT})
"""Whatever is asked, and in whichever way, it is the same again."""

log = structlog.get_logger()

Connect = Callable[[], Awaitable[Transport]]
"""Gives a new, connected transport."""


async def open_upstream(
    connect: Connect,
    backend: str,
    notified: Notified,
    *,
    limit: float,
    known: Era | None = None,
    probe_seconds: float = PROBE_SECONDS,
    capabilities: bytes = BRIDGED_CAPABILITIES,
) -> Upstream:
    """Connect and speak first: modern, and if the server does not understand that, the handshake.

    What decides is that a modern answer came, never one error code (2026-07-28, basic/versioning). A server which
    does not survive the question is started again for the handshake. One which is silent is asked the old way too, and
    may still give a modern answer: it may only be slow to start. `known` is the era it had the last time; `limit` is
    in seconds, for each question; `capabilities` are declared in the handshake. Transports are closed by whoever
    connected them.

    Raises:
        OSError: it cannot be started or reached.
        UpstreamError: it is not there, or speaks neither era.
    """

    def handshake_over(asking: Asking) -> HandshakeUpstream:
        return HandshakeUpstream(asking, backend, notified, capabilities=capabilities)

    if known is not Era.HANDSHAKE:
        asking = Asking(await connect())
        modern = ModernUpstream(asking, backend, notified)
        upstream = await _ask_both_ways(modern, handshake_over(asking), backend, limit, probe_seconds)
        if upstream is not None:
            return upstream
        log.info("started_again_for_the_handshake", backend=backend)
    handshake = handshake_over(Asking(await connect()))
    await handshake.initialize(limit)
    return handshake


async def _ask_both_ways(
    modern: ModernUpstream, handshake: HandshakeUpstream, backend: str, limit: float, probe_seconds: float
) -> Upstream | None:
    """The conversation that the first good answer opens; nothing if the server did not survive the modern question."""
    discovering = asyncio.ensure_future(modern.discover(limit))
    questions: dict[asyncio.Future[None], Upstream] = {discovering: modern}
    try:
        if await _is_good_in_time(discovering, backend, probe_seconds):
            return modern
        initializing = asyncio.ensure_future(handshake.initialize(limit))
        questions[initializing] = handshake
        while waiting := [question for question in questions if not question.done()]:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for question, upstream in questions.items():
                if question.done() and question.exception() is None:
                    return upstream
        try:
            initializing.result()
        except UpstreamError as refusal:
            if refusal.kind not in _GONE:
                raise _of_both(discovering.exception(), refusal) from None
    finally:
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
    return None


def _of_both(first: BaseException | None, second: UpstreamError) -> UpstreamError:
    """What a server that refused both questions is said to have said: the second answer; and the first, if that was for
    want of authorization only, since it may be the era that the server speaks."""
    refused = FailureKind.UNAUTHORIZED
    if not isinstance(first, UpstreamError) or first.kind is not refused or second.kind is refused:
        return second
    return UpstreamError(f"{first}; asked for the handshake: {second}", error=second.error, kind=first.kind)


async def _is_good_in_time(discovering: asyncio.Future[None], backend: str, probe_seconds: float) -> bool:
    """Whether a modern answer came.

    Raises:
        UpstreamError: the server could not be reached, so the other question is no use.
    """
    await asyncio.wait({discovering}, timeout=probe_seconds)
    if not discovering.done():
        log.info("slow_to_discover", backend=backend, seconds=probe_seconds)
        return False
    try:
        discovering.result()
    except UpstreamError as refusal:
        if refusal.kind in _FINAL:
            raise
        log.debug("not_modern", backend=backend, reason=str(refusal))
        return False
    return True
