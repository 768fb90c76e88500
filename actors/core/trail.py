"""What a client carries so that any ingress replica can go on where another stopped: event ids, and ids of questions.

Source: 2025-11-25, basic/transports, Resumability and Redelivery. An event id is the sealed trail of its stream, a dot,
and the number of the event within the exchange; the trail is the same for all events of a stream and sealed once.
"""

from typing import Final

import msgspec

from actors.core.where import Where


class Trail(msgspec.Struct, frozen=True, array_like=True):
    """The stream of one POST: the exchange it shows, and how to show it."""

    where: Where
    """`after` counts for nothing here; the event id has it."""
    backend: str
    request_id: bytes
    """Raw JSON."""
    method: str
    progress_token: bytes | None = None
    """Raw JSON."""


class Question(msgspec.Struct, frozen=True, array_like=True):
    """The id of a server's question to a client: whose answer it wants."""

    where: Where
    ask: int
    """The number of the event that asked."""


_encode: Final = msgspec.msgpack.Encoder().encode
_trails: Final = msgspec.msgpack.Decoder(Trail)
_questions: Final = msgspec.msgpack.Decoder(Question)


def encode(carried: Trail | Question) -> bytes:
    """As it is sealed."""
    return _encode(carried)


def decode_trail(payload: bytes) -> Trail:
    """The trail that `encode` made these bytes of."""
    return _trails.decode(payload)


def decode_question(payload: bytes) -> Question:
    """The question that `encode` made these bytes of."""
    return _questions.decode(payload)


def event_id(sealed: str, number: int) -> bytes:
    """The id of one event of a stream."""
    return b"%b.%d" % (sealed.encode(), number)


def split_event_id(text: str) -> tuple[str, int] | None:
    """The sealed trail and the number in an event id; nothing if it is of another form."""
    sealed, dot, number = text.rpartition(".")
    return (sealed, int(number)) if dot and number.isascii() and number.isdigit() and len(number) < 16 else None
