"""Frames on links of the bus, at both ends: of a peer who holds the secret and speaks nonsense, and of strangers.

The links have no sockets, so that nothing but what is fed decides what happens. Others, on links of their own, call the
same backend meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from actors.bus import frames
from actors.bus.dialer import CallerLink
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.exchanges import Exchanges
from actors.bus.frames import EventKind, Frame, encode
from actors.bus.handshake import NONCE_BYTES, ListenerHandshake
from actors.bus.link import LinkSettings
from actors.bus.served_link import ServedLink
from actors.core.call import Call
from actors.core.load import Load
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from tests.fuzz.fuzzing import Found
from tests.fuzz.mutations import Mutator
from tests.support.bus import SECRET, exchange_id

LIMIT: Final = 64 * 1024
SETTINGS: Final = LinkSettings(max_frame_bytes=LIMIT)
MAX_HELD: Final = 64
"""Calls that nobody answers, all together; the oldest is given up for another."""

INPUTS_A_LINK: Final = 200

CALLS: Final = [Call(method, b'{"a":1}', 30.0, origin=b"origin") for method in ("echo", "ask", "chat", "hold")]
TO_BACKEND: Final[list[Frame]] = [
    *(frames.Open(number, exchange_id(number), call) for number, call in enumerate(CALLS, 1)),
    frames.Attach(9, exchange_id(2), 0),
    frames.Resume(10, exchange_id(2), 0, ((1, b'{"result":{}}'),)),
    frames.Answer(2, 1, b'{"result":{}}'),
    frames.AnswerTo(exchange_id(2), 1, b'{"error":{}}'),
    frames.Grant(3, 64),
    frames.Detach(3),
    frames.Cancel(4, "enough"),
    frames.CancelOrigin(b"origin"),
    frames.Ping(),
    frames.Pong(),
    frames.Leaving(),
]
TO_CALLER: Final[list[Frame]] = [
    *(frames.Event(number, 1, kind, b'{"a":1}') for number, kind in enumerate(EventKind, 1)),
    frames.Event(2, 2, EventKind.PROGRESS, b"{}"),
    frames.OutcomeFrame(1, Reply(b'{"a":1}', Era.MODERN), Load(3)),
    frames.OutcomeFrame(2, Failure(FailureKind.BUSY, "git", "no", 2.0), Load()),
    frames.Ping(),
    frames.Leaving(),
]
TO_ANYBODY: Final[list[Frame]] = [
    frames.Hello(frames.PROTOCOL_VERSION, b"h" * NONCE_BYTES),
    frames.Challenge(frames.PROTOCOL_VERSION, b"c" * NONCE_BYTES),
    frames.Proof(b"p" * 32),
    frames.Refuse("no"),
]


class _Wire(asyncio.Transport):
    """What is written goes to the peer in the next turn of the loop, or nowhere."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.peer: _Wire | None = None
        self._protocol = protocol
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.peer is not None:
            asyncio.get_running_loop().call_soon(self.peer.receive, bytes(data))

    def receive(self, data: bytes) -> None:
        """Bytes arrive, as from a socket: not after it was closed."""
        if not self._closed:
            self._protocol.data_received(data)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""

    def get_write_buffer_size(self) -> int:
        return 0


class _Trusting:
    """A handshake that takes any frame for a proof."""

    complete = False

    def begin(self) -> None:
        """It waits for the peer."""

    def receive(self, _frame: Frame) -> None:
        self.complete = True


class _Backend:
    """Answers, asks, chats or is silent, as the method of a call says."""

    def __init__(self) -> None:
        self._held: deque[Exchange] = deque()

    def opened(self, exchange: Exchange) -> None:
        reply = Reply(exchange.call.params, Era.MODERN)
        exchange.on_cancel = lambda _reason: exchange.finish(Failure(FailureKind.CANCELLED, "git"))
        match exchange.call.method:
            case "echo":
                exchange.finish(reply)
                return
            case "ask":
                exchange.on_answer = lambda ask, value: exchange.finish(reply)
                exchange.emit(EventKind.ASK, b'{"method":"roots/list"}')
            case "chat":
                for _ in range(80):
                    exchange.emit(EventKind.PROGRESS, b'{"progress":1}')
        self._held.append(exchange)
        if len(self._held) > MAX_HELD:
            self._held.popleft().finish(reply)

    def cancelled_origin(self, origin: bytes) -> None:
        for exchange in [each for each in self._held if each.call.origin == origin]:
            exchange.cancel("as the client wished")

    def load(self) -> Load:
        return Load(len(self._held))


class BusFrames:
    """Spoilt frames, whole or cut, for one of three ends."""

    def __init__(self) -> None:
        self.last = b""
        self._exchanges = Exchanges(
            "git", ExchangeSettings(), max_data_bytes=LIMIT // 2, clock=asyncio.get_running_loop().time
        )
        self._backend = _Backend()
        self._served: _Wire | None = None
        self._calling: _Wire | None = None
        self._calling_link: CallerLink
        self._served_link: ServedLink
        self._turns = 0
        self._canaries = 0
        mine, other = CallerLink("git", _Trusting(), SETTINGS, _nobody), self._new_served(_Trusting())
        self._canary = mine
        self._canary_wires = _connected(mine.link, other.link)

    async def feed(self, mutator: Mutator) -> bool:
        """See `Target.feed`."""
        self._turns += 1
        match mutator.dice.randrange(10):
            case 0:
                return self._to_stranger(mutator)
            case 1 | 2 | 3:
                return self._to_caller(mutator)
            case _:
                return self._to_backend(mutator)

    async def canary(self) -> None:
        """See `Target.canary`."""
        self._canaries += 1
        text = b'{"canary":%d}' % self._canaries
        attachment = self._canary.open(Call("echo", text, 30.0), exchange_id(10**9 + self._canaries))
        outcome = await attachment.next()
        if outcome != Reply(text, Era.MODERN):
            raise Found(f"the canary got {outcome} for {text!r}")

    def close(self) -> None:
        """Close every link."""
        for wire in (self._served, self._calling, *self._canary_wires):
            if wire is not None:
                wire.close()

    def _to_backend(self, mutator: Mutator) -> bool:
        if self._served is None or self._served_link.link.closed or self._turns % INPUTS_A_LINK == 0:
            if self._served is not None:
                self._served.close()
            self._served_link = self._new_served(_Trusting())
            self._served = _accepted(self._served_link.link)
        return self._send(mutator, self._served, self._served_link.link, TO_BACKEND)

    def _to_caller(self, mutator: Mutator) -> bool:
        if self._calling is None or self._is_spent(self._calling_link) or self._turns % INPUTS_A_LINK == 0:
            if self._calling is not None:
                self._calling.close()
            self._calling_link = CallerLink("git", _Trusting(), SETTINGS, _nobody)
            self._calling = _accepted(self._calling_link.link)
        while self._calling_link.in_flight < 3:
            self._calling_link.open(CALLS[0], exchange_id(self._turns))
        return self._send(mutator, self._calling, self._calling_link.link, TO_CALLER)

    def _is_spent(self, link: CallerLink) -> bool:
        return link.closed or link.leaving

    def _to_stranger(self, mutator: Mutator) -> bool:
        """Whatever somebody says who does not hold the secret, he does not come in."""
        served = self._new_served(ListenerHandshake({1: SECRET}, b"l" * NONCE_BYTES))
        wire = _Wire(served.link)
        served.link.connection_made(wire)
        self.last = b"".join(_spoilt(mutator, TO_ANYBODY) for _ in range(mutator.dice.choice((1, 2, 3))))
        for piece in mutator.pieces(self.last):
            wire.receive(piece)
        wire.close()
        if served.link.ready:
            raise Found("a stranger came in")
        return False

    def _send(self, mutator: Mutator, wire: _Wire, link: Any, seeds: Sequence[Frame]) -> bool:
        self.last = b"".join(_spoilt(mutator, seeds) for _ in range(mutator.dice.choice((1, 1, 2, 6))))
        for piece in mutator.pieces(self.last):
            wire.receive(piece)
        return not link.closed

    def _new_served(self, handshake: Any) -> ServedLink:
        return ServedLink("git", self._exchanges, self._backend, handshake, SETTINGS, _nobody, _nobody)


def _nobody(*_: object) -> None:
    """Nobody wants to know that a link came or was lost."""


def _spoilt(mutator: Mutator, seeds: Sequence[Frame]) -> bytes:
    """A frame of which a part is another one, or whose bytes are."""
    frame = encode(mutator.dice.choice(seeds))
    if mutator.chance(0.5):
        return mutator.bytes_of([frame, encode(TO_ANYBODY[0])])
    value = mutator.value_of(msgspec.msgpack.decode(frame[frames.LENGTH_BYTES :]))
    try:
        body = msgspec.msgpack.encode(value)
    except UnicodeEncodeError:  # half of a surrogate pair has no bytes
        return frame
    return len(body).to_bytes(frames.LENGTH_BYTES, "big") + body


def _accepted(link: Any) -> _Wire:
    """A wire whose peer has proved itself."""
    wire = _Wire(link)
    link.connection_made(wire)
    wire.receive(encode(frames.Ping()))
    assert link.ready
    return wire


def _connected(one: Any, other: Any) -> tuple[_Wire, _Wire]:
    wires = _accepted(one), _accepted(other)
    wires[0].peer, wires[1].peer = wires[1], wires[0]
    return wires


@asynccontextmanager
async def bus_frames() -> AsyncIterator[BusFrames]:
    """The target."""
    target = BusFrames()
    try:
        yield target
    finally:
        target.close()
        await asyncio.sleep(0)
