"""The open requests of a duplex connection, and which of them each incoming message belongs to."""

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from actors.core.jsonrpc import Message
from actors.core.outcome import FailureKind
from actors.core.recurrence import Recurrence
from actors.transports.transport import Sink

log = structlog.get_logger()

MAX_OPEN: Final = 4096
"""Far above any limit of calls; it only bounds the map should the layers above fail to."""

PROGRESS: Final = "notifications/progress"


class _Progress(msgspec.Struct):
    token: int | str = msgspec.field(name="progressToken")


_progress_decoder: Final = msgspec.json.Decoder(_Progress)


class Pending:
    """Request ids and their sinks. Requests carry their own integer id as progress token."""

    def __init__(self, name: str, *, max_open: int = MAX_OPEN) -> None:
        self._name = name
        self._max_open = max_open
        self._sinks: dict[int, Sink] = {}
        self._strays = Recurrence()
        """Responses that belonged to no open request: late, repeated or invented ones."""

    def __len__(self) -> int:
        return len(self._sinks)

    def add(self, request_id: int, sink: Sink) -> bool:
        """Register an open request; false when there are too many."""
        if len(self._sinks) >= self._max_open:
            return False
        self._sinks[request_id] = sink
        return True

    def drop(self, request_id: int) -> None:
        """Forget a request; its sink hears nothing more."""
        self._sinks.pop(request_id, None)

    def dispatch(self, message: Message, unsolicited: Callable[[Message], None]) -> None:
        """Give a message to the request it belongs to, else to `unsolicited`; a response to nobody is ignored."""
        if message.method is None:
            self._respond(message)
        elif message.method == PROGRESS and (sink := self._sinks.get(_progress_id(message))):
            sink.message(message)
        else:
            unsolicited(message)

    def fail(self, request_id: int, kind: FailureKind, detail: str) -> None:
        """End one request without a response; nothing happens if it is not open."""
        sink = self._sinks.pop(request_id, None)
        if sink is not None:
            sink.failed(kind, detail)

    def fail_all(self, kind: FailureKind, detail: str) -> None:
        """End every request without a response."""
        sinks, self._sinks = self._sinks, {}
        for sink in sinks.values():
            sink.failed(kind, detail)

    def _respond(self, message: Message) -> None:
        digits = bytes(message.id)
        sink = self._sinks.pop(int(digits), None) if digits.isdigit() and len(digits) <= 18 else None
        if sink is None:
            self._count_stray(digits)
        elif message.result or message.error:
            sink.message(message)
        else:
            sink.failed(FailureKind.PROTOCOL, "the response has neither a result nor an error")

    def _count_stray(self, raw_id: bytes) -> None:
        if self._strays.again():
            shown = raw_id[:40].decode(errors="replace")
            log.info("response_discarded", backend=self._name, id=shown, count=self._strays.count)


def _progress_id(message: Message) -> int:
    try:
        token = _progress_decoder.decode(message.params).token
    except (msgspec.DecodeError, RecursionError):
        return NO_ID
    return token if isinstance(token, int) else NO_ID


NO_ID: Final = -1
"""Never the id of a request of ours: those count upwards from nought."""
