"""One call between an exchange and a server: started, followed, ended once, and handed back to the breaker."""

import asyncio
from collections.abc import Callable
from typing import Final

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.core.breaker import Breaker, Permit
from actors.core.outcome import Failure, FailureKind, Outcome
from actors.upstream.upstream import Upstream

SPEAKS_WELL: Final[dict[FailureKind, bool | None]] = {
    FailureKind.UNAVAILABLE: False,
    FailureKind.BREAKER_OPEN: None,
    FailureKind.BUSY: None,
    FailureKind.TIMEOUT: False,
    FailureKind.DISCONNECTED: False,
    FailureKind.TOO_LARGE: False,
    FailureKind.PROTOCOL: False,
    FailureKind.CANCELLED: None,
    FailureKind.UNSUPPORTED: None,
}
"""What a failure tells the breaker of the server; `None` is nothing at all."""


class RunningCall:
    """Listens to the server on behalf of an exchange. No task of its own: callbacks and one timer."""

    __slots__ = (
        "_breaker",
        "_clock",
        "_exchange",
        "_name",
        "_number",
        "_on_finished",
        "_permit",
        "_timer",
        "_upstream",
    )

    def __init__(
        self,
        exchange: Exchange,
        name: str,
        on_finished: Callable[["RunningCall"], None],
        breaker: Breaker,
        permit: Permit,
        clock: Callable[[], float],
    ) -> None:
        self._exchange = exchange
        self._name = name
        self._on_finished = on_finished
        self._breaker = breaker
        self._permit: Permit | None = permit
        self._clock = clock
        self._upstream: Upstream | None = None
        self._number: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def id(self) -> bytes:
        """The exchange's."""
        return self._exchange.id

    @property
    def origin(self) -> bytes | None:
        """The downstream request it is for."""
        return self._exchange.call.origin

    def start(self, upstream: Upstream, limit: float) -> None:
        """Send the call; it is given up after `limit` seconds."""
        self._upstream = upstream
        self._exchange.on_cancel = self.cancel
        self._timer = asyncio.get_running_loop().call_later(limit, self._expired, limit)
        self._number = upstream.start(self._exchange.call, self)

    def progress(self, params: bytes) -> None:
        """See `Listener.progress`; dropped when the reader is too slow, as progress may be."""
        self._exchange.emit(EventKind.PROGRESS, params)

    def log(self, params: bytes) -> None:
        """See `Listener.log`; dropped when the reader is too slow."""
        self._exchange.emit(EventKind.LOG, params)

    def finished(self, outcome: Outcome) -> None:
        """See `Listener.finished`."""
        if self._permit is None:
            return
        # a JSON-RPC error, a tool's own above all, is an answer
        success = SPEAKS_WELL[outcome.kind] if isinstance(outcome, Failure) else True
        if success is None:
            self._breaker.release(self._permit)
        else:
            self._breaker.record(self._permit, success=success, now=self._clock())
        self._end(outcome)

    def cancel(self, reason: str) -> None:
        """The client wants it no more: tell the server."""
        if self._permit is None:
            return
        self._stop(reason)
        self.finished(Failure(FailureKind.CANCELLED, self._name, reason))

    def _expired(self, limit: float) -> None:
        if self._permit is None:
            return
        self._stop("timeout")
        self.finished(Failure(FailureKind.TIMEOUT, self._name, f"after {limit:g} s"))

    def _stop(self, reason: str) -> None:
        if self._upstream is not None and self._number is not None:
            self._upstream.cancel(self._number, reason)

    def _end(self, outcome: Outcome) -> None:
        self._permit = None
        if self._timer is not None:
            self._timer.cancel()
        self._on_finished(self)  # first, so that the load on the outcome does not count it
        self._exchange.finish(outcome)
