"""Which requests a channel does not take, whatever they ask for: decided by its state alone."""

from typing import Final

from actors.core import jsonrpc
from actors.core.envelope import Envelope
from actors.core.outcome import FailureKind
from actors.core.revisions import HANDSHAKE_REVISIONS

MAX_REQUESTS: Final = 256
"""Requests of one channel that run at once; one more is refused."""

NOT_INITIALIZED: Final = jsonrpc.error(jsonrpc.INVALID_REQUEST, "initialize comes first")
INITIALIZED: Final = jsonrpc.error(jsonrpc.INVALID_REQUEST, "this connection has its session already")
CLOSING: Final = jsonrpc.error(jsonrpc.INTERNAL_ERROR, "the session has ended; connect again")
BUSY: Final = jsonrpc.error(
    jsonrpc.INTERNAL_ERROR,
    f"this connection has {MAX_REQUESTS} requests under way; wait for an answer",
    {"reason": FailureKind.BUSY.value},
)


def refusal_of(envelope: Envelope, endpoint: str, *, opened: bool, closing: bool, under_way: int) -> bytes | None:
    """The error with which a request is answered here; nothing if it is taken. Rungs, in order:

    1. An envelope of the modern era is for another endpoint.
    2. `initialize` comes first, once, and only a ping may be earlier.
    3. Nothing is begun on a channel that is about to end.
    4. There are not too many requests already.
    """
    if jsonrpc.PROTOCOL_VERSION_KEY in envelope.meta:
        return _not_modern(envelope, endpoint)
    if not opened:
        return None if envelope.method in ("initialize", "ping") else NOT_INITIALIZED
    if envelope.method == "initialize":
        return INITIALIZED
    if closing:
        return CLOSING
    return BUSY if under_way >= MAX_REQUESTS else None


def _not_modern(envelope: Envelope, endpoint: str) -> bytes:
    path = f"/servers/{endpoint}/mcp" if endpoint else "/mcp"
    requested = (jsonrpc.text(envelope.meta[jsonrpc.PROTOCOL_VERSION_KEY]) or "")[:64]
    reason = f"this connection begins with initialize; requests of {requested} go to {path} over HTTP"
    data = {"supported": [*reversed(HANDSHAKE_REVISIONS)], "requested": requested}
    return jsonrpc.error(jsonrpc.UNSUPPORTED_REVISION, reason, data)
