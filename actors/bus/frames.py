"""The frames of the bus, and their way to bytes and back. No socket, no clock: bytes in, frames out.

A frame is a big-endian u32 length and that many bytes of MessagePack: an array whose first element is the frame's tag.
A field may be added at the end of a frame with a default; any other change needs a new `PROTOCOL_VERSION`.
"""

import struct
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from actors.core.call import Call
from actors.core.load import Load
from actors.core.outcome import Failure, Reply

PROTOCOL_VERSION: Final = 3
WINDOW: Final = 64
"""Credit of one attachment, in units of `weight`: what may be under way and unread. Part of the protocol version."""
WEIGHT_SHIFT: Final = 14
"""One more unit of credit per 16 KiB, so that a window of large events is no larger than 1 MiB and one event."""
LENGTH_BYTES: Final = 4

ExchangeId = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Number = Annotated[int, msgspec.Meta(ge=0)]


class EventKind(StrEnum):
    """What an event tells."""

    PROGRESS = "progress"
    LOG = "log"
    ASK = "ask"
    """The server asks the client something; answered by `Answer`, `AnswerTo` or `Resume` with the event's `seq`."""
    WITHDRAWN = "withdrawn"
    """The server takes a question back; the data is the `seq` of its event."""
    CHANGED = "changed"
    """A list or a resource changed; an empty object says that from now on it is told (`actors.watchers.BEGUN`)."""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Caller to listener, first: what it speaks, and its nonce."""

    version: int
    nonce: bytes


class Challenge(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Listener to caller: prove yourself over both nonces."""

    version: int
    nonce: bytes


class Proof(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Either way: the sender holds the secret. The listener's proof comes last and opens the link."""

    mac: bytes


class Refuse(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """Either way, in the handshake only: why the connection is about to close."""

    reason: str


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """Either way: are you there?"""


class Pong(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Either way: I am."""


class Leaving(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """Listener to caller: open nothing new here. Caller to listener, once: I open nothing after this frame."""


class Open(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """Caller to listener: start this call, and let me read it as `number`, unused before on this link."""

    number: Number
    exchange_id: ExchangeId
    call: Call


class Attach(msgspec.Struct, frozen=True, array_like=True, tag=11, gc=False):
    """Caller to listener: let me read this exchange as `number`, its events after `after` and its outcome."""

    number: Number
    exchange_id: ExchangeId
    after: Number


class Detach(msgspec.Struct, frozen=True, array_like=True, tag=12, gc=False):
    """Caller to listener: I read no further; after an outcome it is the receipt. The exchange goes on."""

    number: Number


class Answer(msgspec.Struct, frozen=True, array_like=True, tag=13, gc=False):
    """Caller to listener: the client's answer to the event whose `seq` is `ask`; raw JSON."""

    number: Number
    ask: Number
    value: bytes


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=14, gc=False):
    """Caller to listener: nobody wants the outcome any more."""

    number: Number
    reason: str


class CancelOrigin(msgspec.Struct, frozen=True, array_like=True, tag=15, gc=False):
    """Caller to listener: cancel whatever runs for this downstream request, whoever opened it."""

    origin: bytes


class Grant(msgspec.Struct, frozen=True, array_like=True, tag=16, gc=False):
    """Caller to listener: every event up to `seen` has been read, and its credit returns."""

    number: Number
    seen: Number


class Resume(msgspec.Struct, frozen=True, array_like=True, tag=17, gc=False):
    """Caller to listener: as `Attach`, with answers to what was asked before; all of it, or nothing."""

    number: Number
    exchange_id: ExchangeId
    after: Number
    answers: tuple[tuple[Number, bytes], ...]
    """The `seq` of each event that asked, and the answer; raw JSON."""


class AnswerTo(msgspec.Struct, frozen=True, array_like=True, tag=18, gc=False):
    """Caller to listener: as `Answer`, to an exchange which the caller need not read."""

    exchange_id: ExchangeId
    ask: Number
    value: bytes


class Event(msgspec.Struct, frozen=True, array_like=True, tag=20, gc=False):
    """Listener to caller: something happened in the exchange; `seq` counts from 1 over its whole life."""

    number: Number
    seq: Number
    kind: EventKind
    data: bytes
    """Raw JSON parameters."""


class OutcomeFrame(msgspec.Struct, frozen=True, array_like=True, tag=21, gc=False):
    """Listener to caller: how the exchange ended; nothing follows under this number."""

    number: Number
    outcome: Reply | Failure
    load: Load


Frame = (
    Hello
    | Challenge
    | Proof
    | Refuse
    | Ping
    | Pong
    | Leaving
    | Open
    | Attach
    | Detach
    | Answer
    | Cancel
    | CancelOrigin
    | Grant
    | Resume
    | AnswerTo
    | Event
    | OutcomeFrame
)


class FrameError(Exception):
    """The peer sent something that is not a frame, or one over the limit; says what, and nothing of its content."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final[Callable[[memoryview], Frame]] = msgspec.msgpack.Decoder(Frame).decode
_length: Final = struct.Struct(">I")


def weight(data: bytes) -> int:
    """The credit that an event with this data takes."""
    return 1 + (len(data) >> WEIGHT_SHIFT)


def encode(frame: Frame) -> bytes:
    """The frame as it travels, its length in front."""
    body = _encode(frame)
    return _length.pack(len(body)) + body


class FrameDecoder:
    """Takes a stream of bytes apart into frames; holds at most one incomplete frame.

    After a `FrameError` the stream has no more meaning, and the decoder is of no more use.
    """

    def __init__(self, max_frame_bytes: int) -> None:
        self.max_frame_bytes = max_frame_bytes
        """May be changed between two calls of `feed`."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, in order.

        Raises:
            FrameError: a length over the limit, an unknown tag, or no frame at all.
        """
        frames: list[Frame] = []
        if self._buffer:
            self._buffer += data
            with memoryview(self._buffer) as view:
                taken = self._take(view, frames)
            del self._buffer[:taken]
        else:
            taken = self._take(memoryview(data), frames)
            if taken < len(data):
                self._buffer += data[taken:]
        return frames

    def _take(self, view: memoryview, frames: list[Frame]) -> int:
        """Append the complete frames at the front of `view`; the number of bytes they took."""
        start, size = 0, len(view)
        try:
            while (body := start + LENGTH_BYTES) <= size:
                (length,) = _length.unpack_from(view, start)
                if length > self.max_frame_bytes:
                    raise FrameError(f"a frame of {length} bytes is over the limit of {self.max_frame_bytes}")
                if body + length > size:
                    break
                frames.append(_decode(view[body : body + length]))
                start = body + length
        except msgspec.MsgspecError as error:
            place = str(error).rpartition(" - at ")[2]  # what stands before it may quote the value
            raise FrameError(f"not a frame: {place}") from None
        except (ValueError, RecursionError) as error:
            raise FrameError(f"not a frame: {type(error).__name__}") from None  # a codec error quotes the bytes
        return start
