"""How far the log had been written, kept in a file of its own: by it, lines missing at the end are missed.

Who puts an older head and the log of that time in place of both is not found out by them; what was sent to syslog or
OTLP meanwhile tells.
"""

import hmac

import msgspec

from actors.core import jsonrpc
from actors.core.audit.chain import Place


class _Head(msgspec.Struct):
    seq: int
    last: str
    mac: str


def head_of(key: bytes, place: Place) -> bytes:
    """The content of the file; `key` is `Keys.lines`."""
    return jsonrpc.encode(_Head(place.seq, place.last, _mac(key, place))) + b"\n"


def read_head(key: bytes | None, content: bytes) -> Place | None:
    """What such a file says; nothing if it was not written by who has the key. Without a key, anybody is believed."""
    try:
        head = msgspec.json.decode(content, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    place = Place(head.seq, head.last)
    genuine = key is None or hmac.compare_digest(_mac(key, place).encode(), head.mac.encode())
    return place if genuine else None


def _mac(key: bytes, place: Place) -> str:
    return hmac.digest(key, b"head %d %b" % (place.seq, place.last.encode()), "sha256").hex()
