"""The lines of the log, each tied to the one before.

A line is one JSON object: `seq`, counted from 1 without a gap over all files; `prev`, the SHA-256 of the whole line
before; `source` and `batch`, who reported the event and in which of its reports; `event`; and last `mac`, an
HMAC-SHA256 under the key of the log over all that stands before it. `prev` alone would tell a changed line from an
untouched one only as long as nobody writes all later ones anew, which needs no secret; `mac` does.
"""

import hashlib
import hmac
import re
from typing import Final

import msgspec

from actors.core import jsonrpc

GENESIS: Final = "0" * 64
"""What the first line of all has for the one before."""

MAC_BYTES: Final = 16

_MAC: Final = re.compile(rb'(?s)(.*),"mac":"([0-9a-f]{32})"\}')


class Place(msgspec.Struct, frozen=True):
    """The end of a chain."""

    seq: int = 0
    """Of the last line; 0 if there is none."""
    last: str = GENESIS
    """The SHA-256 of that line, in hexadecimal."""


class Line(msgspec.Struct, frozen=True):
    """What is read of a line."""

    seq: int
    prev: str
    event: msgspec.Raw
    source: str = ""
    batch: int = 0


_decoder: Final = msgspec.json.Decoder(Line)


def linked(key: bytes, place: Place, event: bytes, source: str = "", batch: int = 0) -> tuple[bytes, Place]:
    """The next line, with its line break, and the end of the chain with it. `event` is JSON, `key` is `Keys.lines`."""
    signed = b'{"seq":%d,"prev":"%b","source":%b,"batch":%d,"event":%b' % (
        place.seq + 1,
        place.last.encode(),
        jsonrpc.encode(source),
        batch,
        event,
    )
    line = b'%b,"mac":"%b"}' % (signed, _mac(key, signed))
    return line + b"\n", Place(place.seq + 1, hash_of(line))


def hash_of(line: bytes) -> str:
    """What the next line has of this one, which is without its line break."""
    return hashlib.sha256(line).hexdigest()


def is_genuine(key: bytes, line: bytes) -> bool:
    """Whether a line, without its line break, was written by who has the key."""
    match = _MAC.fullmatch(line)
    return match is not None and hmac.compare_digest(_mac(key, match[1]), match[2])


def read_line(line: bytes) -> Line:
    """Read a line.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return jsonrpc.decode(_decoder, line)


def _mac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")[:MAC_BYTES].hex().encode()
