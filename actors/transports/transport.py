"""The seam between an era and a way to reach a server: requests out, messages in, callbacks and no tasks.

Every transport keeps to one contract (`tests/actors/test_transport_contract.py`), and `memory` is its shipped double.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from actors.core.jsonrpc import Message
from actors.core.outcome import FailureKind


class Sink(Protocol):
    """Where the messages of one request go. Neither method may block or raise."""

    def message(self, message: Message) -> None:
        """A notification that belongs to the request, or its response, which is the last."""

    def failed(self, kind: FailureKind, detail: str) -> None:
        """There will be no response; nothing comes after this."""


class Transport(Protocol):
    """One connection to one server. All methods belong to one event loop."""

    unsolicited: Callable[[Message], None]
    """Called with every message that belongs to no open request: notifications, and the server's own requests."""
    closed: Callable[[str], None]
    """Called once, with a reason for people, when the connection is lost without `close`; open requests fail first."""

    forgotten: Callable[[], None]
    """Called when the server says that it does not know our session any more; the request it refused has not run,
    and fails with `FailureKind.UNAVAILABLE` next. Over stdio it never is."""

    drop_cancels: bool
    """Whether `drop` alone tells a modern server to stop: over HTTP it closes the response stream."""

    async def connect(self) -> None:
        """Start the server, or make ready to reach it.

        Raises:
            OSError: it cannot be started or reached; the message says why and holds no secret.
        """

    def open(self, request_id: int, body: bytes, headers: Mapping[str, str], sink: Sink) -> None:
        """Send a request; `request_id` is the id inside `body`, unused before on this transport.

        `headers` matter to HTTP transports only. Never raises: what goes wrong reaches `sink.failed`, with
        `FailureKind.UNAVAILABLE` only when the server has certainly not seen the request.
        """

    def drop(self, request_id: int) -> None:
        """Stop listening for a request: its sink hears nothing more, a late response is discarded.

        Over HTTP this closes the response stream, which a modern server takes as a cancellation.
        """

    def established(self, revision: str) -> None:
        """The handshake is done: mark what follows with the revision and the session, and hear the server out.

        Over HTTP it adds `MCP-Protocol-Version` and `Mcp-Session-Id` to every request and opens the stream for
        unsolicited messages; over stdio there is nothing to do.
        """

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a notification or a response of ours; a failure to do so is logged and forgotten."""

    async def close(self) -> None:
        """End the connection, and the server if it was started here, within a few seconds. Safe to repeat."""
