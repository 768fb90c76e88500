"""What a lasting connection brings: messages, one or a batch at a time, each given to whom it belongs."""

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from actors.core.jsonrpc import Message, decode_message
from actors.core.lines import EDGE_BYTES, Overlong, answered_id
from actors.core.outcome import FailureKind
from actors.core.recurrence import Recurrence
from actors.transports.pending import Pending

log = structlog.get_logger()

_array_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Incoming:
    """Decodes what arrives and dispatches it; what is no JSON-RPC fails the request it answers, if that is certain."""

    def __init__(self, name: str, pending: Pending) -> None:
        self._name = name
        self._pending = pending
        self._ignored = Recurrence()

    def take(self, data: bytes, unsolicited: Callable[[Message], None]) -> None:
        """Take one message or one batch; `unsolicited` gets what belongs to no open request."""
        try:
            messages = _messages(data)
        except (msgspec.DecodeError, RecursionError):
            request_id = answered_id(Overlong(data[:EDGE_BYTES], data[-EDGE_BYTES:]))
            if request_id is not None:
                self._pending.fail(request_id, FailureKind.PROTOCOL, "its response is not valid JSON-RPC")
            self.ignore("not JSON-RPC")
            return
        for message in messages:
            self._pending.dispatch(message, unsolicited)

    def ignore(self, reason: str) -> None:
        """Note something of no use."""
        if self._ignored.again():
            log.warning("server_output_ignored", backend=self._name, reason=reason, count=self._ignored.count)


def _messages(data: bytes) -> list[Message]:
    """Decode a message, or a batch of them (2025-03-26, basic, Batching)."""
    if data.lstrip()[:1] == b"[":
        return [decode_message(item) for item in _array_decoder.decode(data)]
    return [decode_message(data)]
