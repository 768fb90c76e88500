"""What a `requestState` of ours says: where a call waits, or what its server wants to hear again.

Source: 2026-07-28, basic/patterns/mrtr, Server Requirements. The text is sealed for the principal and the endpoint; in
it stand the request it belongs to, the replica it came from, and when it ends. Each is good for one retry.
"""

import hashlib
from contextlib import suppress
from enum import StrEnum
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.input_required import RETRY_KEYS
from actors.core.jsonrpc import Object
from actors.core.where import Where

DIGEST_BYTES: Final = 16


class Way(StrEnum):
    """What the retry leads to."""

    PARKED = "parked"
    """The call waits in its backend; the retry brings the answers."""
    HANDED = "handed"
    """The server remembers nothing; the retry brings it its own state and the answers."""
    AGAIN = "again"
    """The call is made anew: the user was elsewhere in between."""


class Continuation(msgspec.Struct, frozen=True, array_like=True):
    """A call to be continued."""

    way: Way
    digest: bytes
    """Of the request, see `digest_of`."""
    where: Where
    """The replica that must have it; for a parked call the exchange, too."""
    expires: float
    """In Unix seconds, because another replica of the ingress compares it."""
    state: bytes | None = None
    """The server's own `requestState`, raw JSON, if it gave one."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Continuation)


def encode(continuation: Continuation) -> bytes:
    """The continuation as it is sealed."""
    return _encode(continuation)


def decode(payload: bytes) -> Continuation:
    """The continuation that `encode` made these bytes of."""
    return _decoder.decode(payload)


def digest_of(method: str, params: Object) -> bytes:
    """Equal for a request and its retries, however the client writes the same values."""
    told = {key: value for key, value in params.items() if key not in RETRY_KEYS}
    whole = jsonrpc.encode(told)
    # a number beyond all bounds, or nested too deeply: the client has to repeat it as it was
    with suppress(msgspec.DecodeError):
        whole = msgspec.json.encode(jsonrpc.value(whole), order="deterministic")
    return hashlib.blake2b(method.encode() + b"\0" + whole, digest_size=DIGEST_BYTES).digest()
