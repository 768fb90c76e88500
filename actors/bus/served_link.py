"""The backend's end of one link: frames of an ingress replica become calls on exchanges."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog

from actors.bus import frames
from actors.bus.exchange import Exchange
from actors.bus.exchanges import Exchanges
from actors.bus.handshake import ListenerHandshake
from actors.bus.link import Link, LinkSettings
from actors.bus.reader import Reader
from actors.core.load import Load
from actors.core.outcome import Failure, FailureKind, Outcome

log = structlog.get_logger()

MAX_REASON_CHARS: Final = 1024
"""Of a cancellation; it goes on to the server and into logs."""


class Handler(Protocol):
    """The backend, as the bus sees it. Plain callbacks; none may block."""

    def opened(self, exchange: Exchange) -> None:
        """Start a call; set the exchange's callbacks before returning, and `finish` it sooner or later."""

    def cancelled_origin(self, origin: bytes) -> None:
        """Cancel whatever runs for this downstream request; there may be nothing."""

    def load(self) -> Load:
        """The replica's load, to be sent with an outcome."""


class ServedLink:
    """Owner of one accepted link, and outlet of the readers on it."""

    def __init__(
        self,
        backend: str,
        exchanges: Exchanges,
        handler: Handler,
        handshake: ListenerHandshake,
        settings: LinkSettings,
        ready: Callable[["ServedLink"], None],
        lost: Callable[["ServedLink", str], None],
    ) -> None:
        """`ready` is called when the caller has proved itself, `lost`, with the reason, when the link is gone."""
        self.link: Final = Link(self, handshake, settings)
        self._handshake = handshake
        self.parted: Final = asyncio.Event()
        """Set while the caller has answered `leave` and misses no outcome it reads here; and when the link is lost."""
        self._told = self._answered = False
        self._backend = backend
        self._exchanges = exchanges
        self._handler = handler
        self._ready = ready
        self._lost = lost
        self._attached: dict[int, Exchange] = {}
        """The exchanges whose current reader is on this link."""
        self._waiting: OrderedDict[Reader, None] = OrderedDict()
        self._on_frame: Final[dict[type, Callable[[Any], None]]] = {
            frames.Open: self._open,
            frames.Attach: self._attach,
            frames.Detach: self._detach,
            frames.Answer: self._answer,
            frames.Cancel: self._cancel,
            frames.CancelOrigin: self._cancel_origin,
            frames.Grant: self._grant,
            frames.Resume: self._resume,
            frames.AnswerTo: self._answer_to,
            frames.Leaving: self._leaving,
        }

    @property
    def key_number(self) -> int:
        """The number of the link key that it was opened with; 0 as long as it is not ready."""
        return self._handshake.proven

    @property
    def writable(self) -> bool:
        """See `Outlet.writable`."""
        return self.link.writable

    def send(self, frame: frames.Frame) -> bool:
        """See `Outlet.send`."""
        return self.link.send(frame)

    def wait(self, reader: Reader) -> None:
        """See `Outlet.wait`."""
        self._waiting[reader] = None

    def end(self, number: int, outcome: Outcome) -> None:
        """See `Outlet.end`."""
        self.link.send(frames.OutcomeFrame(number, outcome, self._handler.load()))

    def forget(self, number: int) -> None:
        """See `Outlet.forget`."""
        self._attached.pop(number, None)
        self._settle()

    def leave(self) -> None:
        """Tell the caller to open nothing new here. Safe to repeat; for a link that is ready."""
        if not self._told:
            self._told = self.link.send(frames.Leaving())

    def link_ready(self) -> None:
        """See `LinkOwner.link_ready`."""
        log.debug("link_accepted", backend=self._backend)
        self._ready(self)

    def link_received(self, frame: frames.Frame) -> None:
        """See `LinkOwner.link_received`."""
        on_frame = self._on_frame.get(type(frame))
        if on_frame is None:
            self.link.close(f"{type(frame).__name__} is not for a backend")
        else:
            on_frame(frame)

    def link_writable(self) -> None:
        """See `LinkOwner.link_writable`."""
        while self._waiting and self.link.writable:
            reader, _ = self._waiting.popitem(last=False)
            reader.pump()  # if it has to wait again, it does so behind the others

    def link_lost(self, reason: str) -> None:
        """See `LinkOwner.link_lost`."""
        if self.link.ready:
            log.info("link_lost", backend=self._backend, reason=reason, exchanges=len(self._attached))
        attached = list(self._attached.values())
        self._attached.clear()
        self._waiting.clear()
        for exchange in attached:
            exchange.detach()
        self.parted.set()
        self._lost(self, reason)

    def _open(self, frame: frames.Open) -> None:
        if frame.number in self._attached:
            return
        known = self._exchanges.find(frame.exchange_id)
        if known is not None:
            self._read(frame.number, known, after=0)
            return
        match self._exchanges.admit(frame.exchange_id, frame.call):
            case Failure() as failure:
                self.end(frame.number, failure)
            case exchange:
                self._read(frame.number, exchange, after=0)
                self._guard(exchange, self._handler.opened, exchange)

    def _attach(self, frame: frames.Attach) -> None:
        if frame.number in self._attached:
            return
        exchange = self._exchanges.find(frame.exchange_id)
        if exchange is None:
            self.end(frame.number, self._exchanges.lost())
        else:
            self._read(frame.number, exchange, frame.after)

    def _resume(self, frame: frames.Resume) -> None:
        if frame.number in self._attached:
            return
        exchange = self._exchanges.find(frame.exchange_id)
        if exchange is None:
            self.end(frame.number, self._exchanges.lost())
            return
        self._attached[frame.number] = exchange  # first, because answers call the backend, and it may do anything
        self._settle()
        self._guard(exchange, exchange.resume, self, frame.number, frame.after, frame.answers)

    def _read(self, number: int, exchange: Exchange, after: int) -> None:
        reader = exchange.attach(self, number, after)
        self._attached[number] = exchange
        self._settle()
        reader.pump()

    def _detach(self, frame: frames.Detach) -> None:
        exchange = self._attached.pop(frame.number, None)
        if exchange is None:
            return
        if exchange.reader is not None and exchange.reader.done:
            self._exchanges.received(exchange)
        exchange.detach()
        self._settle()

    def _answer(self, frame: frames.Answer) -> None:
        exchange = self._attached.get(frame.number)
        if exchange is not None:
            self._guard(exchange, exchange.answer, frame.ask, frame.value)

    def _answer_to(self, frame: frames.AnswerTo) -> None:
        exchange = self._exchanges.find(frame.exchange_id)
        if exchange is not None:
            self._guard(exchange, exchange.answer, frame.ask, frame.value)

    def _cancel(self, frame: frames.Cancel) -> None:
        exchange = self._attached.get(frame.number)
        if exchange is not None:
            self._guard(exchange, exchange.cancel, frame.reason[:MAX_REASON_CHARS])

    def _cancel_origin(self, frame: frames.CancelOrigin) -> None:
        self._guard(None, self._handler.cancelled_origin, frame.origin)

    def _grant(self, frame: frames.Grant) -> None:
        exchange = self._attached.get(frame.number)
        if exchange is not None:
            exchange.grant(frame.seen)

    def _leaving(self, _frame: frames.Leaving) -> None:
        self._answered = self._told
        self._settle()

    def _settle(self) -> None:
        if not self._answered:
            return
        if self._attached:
            self.parted.clear()
        else:
            self.parted.set()

    def _guard(self, exchange: Exchange | None, callback: Callable[..., None], *arguments: object) -> None:
        """Run a callback of the backend; its bug ends its own exchange and disturbs no other on the link."""
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001, whatever it is, it is reported and ends here
            context = {"message": "a callback of the backend failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            if exchange is not None:
                exchange.finish(Failure(FailureKind.DISCONNECTED, self._backend, "an error inside the gateway"))
