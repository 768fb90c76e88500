"""A transport to a server which is a function: the shipped double of every other transport."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from actors.core.jsonrpc import Message, decode_message
from actors.core.outcome import FailureKind
from actors.transports.pending import Pending
from actors.transports.transport import Sink

REMEMBERED: Final = 10_000
"""How much of what was sent is kept for whoever wants to look."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent through the transport: a request, a notification or a response."""

    message: Message
    body: bytes
    headers: Mapping[str, str]


def silence(message: Message) -> Iterable[bytes]:
    """Answer nothing; the answers are then given by hand, through `MemoryTransport.deliver`."""
    return ()


class MemoryTransport:
    """Keeps the contract of `Transport` without a server.

    `server` is called with everything sent, in order, and gives the messages to send back; they arrive in the next
    tick of the event loop. `deliver`, `fail`, `forget` and `lose` play the server's part by hand, at once; `refuses` is
    why `connect` fails.
    """

    def __init__(
        self,
        server: Callable[[Message], Iterable[bytes]] = silence,
        *,
        name: str = "memory",
        refuses: str | None = None,
        drop_cancels: bool = False,
    ) -> None:
        self.unsolicited: Callable[[Message], None] = lambda message: None
        self.closed: Callable[[str], None] = lambda reason: None
        self.forgotten: Callable[[], None] = lambda: None
        self.drop_cancels = drop_cancels
        self.revision: str | None = None
        """What `established` said."""
        self.requests: deque[Sent] = deque(maxlen=REMEMBERED)
        """What went through `open`."""
        self.notices: deque[Sent] = deque(maxlen=REMEMBERED)
        """What went through `send`: notifications, and responses of ours."""
        self.dropped: deque[int] = deque(maxlen=REMEMBERED)
        """The request ids that went through `drop`."""
        self._server = server
        self._refuses = refuses
        self._pending = Pending(name)
        self._refusal: str | None = "it is not connected"

    async def connect(self) -> None:
        """Connect at once.

        Raises:
            ConnectionRefusedError: the transport was made to refuse.
        """
        if self._refuses is not None:
            raise ConnectionRefusedError(self._refuses)
        self._refusal = None

    def open(self, request_id: int, body: bytes, headers: Mapping[str, str], sink: Sink) -> None:
        """See `Transport.open`."""
        if self._refusal is not None:
            sink.failed(FailureKind.UNAVAILABLE, self._refusal)
        elif not self._pending.add(request_id, sink):
            sink.failed(FailureKind.BUSY, "too many requests are open")
        else:
            self._pass_on(self.requests, body, headers)

    def drop(self, request_id: int) -> None:
        """See `Transport.drop`."""
        self.dropped.append(request_id)
        self._pending.drop(request_id)

    def established(self, revision: str) -> None:
        """See `Transport.established`."""
        self.revision = revision

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """See `Transport.send`."""
        if self._refusal is None:
            self._pass_on(self.notices, body, headers)

    async def close(self) -> None:
        """See `Transport.close`."""
        self._refusal = "it is closed"
        self._pending.fail_all(FailureKind.DISCONNECTED, "the connection was closed")

    def deliver(self, body: bytes) -> None:
        """Receive a message as if the server had sent it now; nothing happens when not connected.

        Raises:
            msgspec.DecodeError: it is not a JSON-RPC message.
        """
        if self._refusal is None:
            self._pending.dispatch(decode_message(body), self.unsolicited)

    def fail(self, request_id: int, kind: FailureKind, detail: str) -> None:
        """Let one open request fail, as when nothing but its own stream breaks."""
        self._pending.fail(request_id, kind, detail)

    def forget(self, request_id: int) -> None:
        """Let the server refuse an open request because it does not know our session any more."""
        self.forgotten()
        self.fail(request_id, FailureKind.UNAVAILABLE, "the server does not know the session")

    def lose(self, reason: str) -> None:
        """Let the server go away: open requests fail, then `closed` is called; only the first time."""
        if self._refusal is None:
            self._refusal = reason
            self._pending.fail_all(FailureKind.DISCONNECTED, reason)
            self.closed(reason)

    def _pass_on(self, memory: deque[Sent], body: bytes, headers: Mapping[str, str]) -> None:
        message = decode_message(body)
        memory.append(Sent(message, body, dict(headers)))
        for answer in self._server(message):
            asyncio.get_running_loop().call_soon(self.deliver, answer)
