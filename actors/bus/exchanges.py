"""All exchanges of one backend replica: those which run, and those which are finished and still kept."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from actors.bus.exchange import Exchange, ExchangeSettings
from actors.core.call import Call
from actors.core.outcome import Failure, FailureKind

MAX_FORGOTTEN: Final = 16 * 1024
"""Ids remembered after their exchange is gone, so that a late repetition is not executed again: about 2 MB."""


class Exchanges:
    """Finds exchanges by id, executes no id twice, and forgets what nobody came for.

    `clock` is monotonic and in seconds.
    """

    def __init__(
        self, backend: str, settings: ExchangeSettings, *, max_data_bytes: int, clock: Callable[[], float]
    ) -> None:
        self._backend = backend
        self._settings = settings
        self._max_data_bytes = max_data_bytes
        self._clock = clock
        self._running: dict[bytes, Exchange] = {}
        self._awaited: OrderedDict[bytes, _Finished] = OrderedDict()
        """Finished, and nobody has said that the outcome arrived."""
        self._received: OrderedDict[bytes, _Finished] = OrderedDict()
        self._kept_bytes = 0
        self._forgotten: OrderedDict[bytes, None] = OrderedDict()

    def find(self, exchange_id: bytes) -> Exchange | None:
        """The exchange with that id, running or kept."""
        self.expire()
        if exchange_id in self._running:
            return self._running[exchange_id]
        finished = self._awaited.get(exchange_id) or self._received.get(exchange_id)
        return finished.exchange if finished is not None else None

    def admit(self, exchange_id: bytes, call: Call) -> Exchange | Failure:
        """Make the exchange of an id which `find` does not know. Rungs, in order.

        1. An id whose exchange is forgotten may have run, and does not run again.
        2. No more than `max_running` at once.
        """
        if exchange_id in self._forgotten:
            return self.lost()
        if len(self._running) >= self._settings.max_running:
            return Failure(FailureKind.BUSY, self._backend)
        exchange = Exchange(
            exchange_id,
            call,
            backend=self._backend,
            settings=self._settings,
            max_data_bytes=self._max_data_bytes,
            ended=self._ended,
        )
        self._running[exchange_id] = exchange
        return exchange

    def lost(self) -> Failure:
        """What to say of an exchange which is not known here, or no longer."""
        return Failure(FailureKind.DISCONNECTED, self._backend, "nothing is known of this call here")

    def received(self, exchange: Exchange) -> None:
        """The outcome has arrived; keep the exchange for those who resume, after all others."""
        finished = self._awaited.pop(exchange.id, None)
        if finished is not None:
            self._received[exchange.id] = finished

    def expire(self) -> None:
        """Forget what was kept for long enough."""
        oldest = self._clock() - self._settings.keep_seconds
        for kept in (self._received, self._awaited):
            while kept and next(iter(kept.values())).at <= oldest:
                self._forget(kept)

    def _ended(self, exchange: Exchange) -> None:
        del self._running[exchange.id]
        finished = _Finished(exchange, exchange.size, self._clock())
        self._awaited[exchange.id] = finished
        self._kept_bytes += finished.size
        while (
            len(self._awaited) + len(self._received) > self._settings.max_kept
            or self._kept_bytes > self._settings.max_kept_bytes
        ):
            if not self._received and len(self._awaited) == 1:
                return  # however large, the outcome which came just now has to be sent first
            self._forget(self._received or self._awaited)

    def _forget(self, kept: "OrderedDict[bytes, _Finished]") -> None:
        exchange_id, finished = kept.popitem(last=False)
        self._kept_bytes -= finished.size
        self._forgotten[exchange_id] = None
        if len(self._forgotten) > MAX_FORGOTTEN:
            self._forgotten.popitem(last=False)
        finished.exchange.evict()


class _Finished:
    """A kept exchange, its size as it was counted, and when it finished."""

    __slots__ = ("at", "exchange", "size")

    def __init__(self, exchange: Exchange, size: int, at: float) -> None:
        self.exchange = exchange
        self.size = size
        self.at = at
