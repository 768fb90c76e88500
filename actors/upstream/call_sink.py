"""Turns the messages of one upstream request into what became of the call."""

from collections.abc import Callable

from actors.core import jsonrpc
from actors.core.call import Call
from actors.core.jsonrpc import Message
from actors.core.log_levels import wants_log
from actors.core.outcome import Failure, FailureKind, Outcome, Reply
from actors.core.revisions import Era
from actors.upstream.upstream import Listener, Notified


class CallSink:
    """Listens to one upstream request on behalf of a call."""

    __slots__ = ("_backend", "_call", "_era", "_finish", "_listener", "_notified", "_requested")

    def __init__(
        self,
        call: Call,
        listener: Listener,
        *,
        era: Era,
        backend: str,
        notified: Notified,
        requested: Callable[[Message], None],
        finish: Callable[[Outcome], None],
    ) -> None:
        """`finish` stands between the outcome and the listener, for an adapter that may want to try again.

        `requested` hears what the server requests on the stream of this call.
        """
        self._call = call
        self._listener = listener
        self._era = era
        self._backend = backend
        self._notified = notified
        self._requested = requested
        self._finish = finish

    def message(self, message: Message) -> None:
        """See `Sink.message`."""
        if message.method is None:
            self._finish(self._answer(message))
        elif message.id:
            self._requested(message)
        elif message.method == "notifications/progress":
            if self._call.wants_progress:
                self._listener.progress(bytes(message.params))
        elif message.method == "notifications/message":
            if wants_log(self._call.log_level, message.params):
                self._listener.log(bytes(message.params))
        else:
            self._notified(message)

    def failed(self, kind: FailureKind, detail: str) -> None:
        """See `Sink.failed`."""
        self._finish(Failure(kind, self._backend, detail))

    def _answer(self, message: Message) -> Outcome:
        # `Raw` would be spliced, not encoded, by the next encoder: from here on it is plain bytes
        if message.error:
            return Reply(bytes(message.error), self._era, is_error=True)
        if not jsonrpc.is_object(message.result):
            return Failure(FailureKind.PROTOCOL, self._backend, "its result is not a JSON object")
        return Reply(bytes(message.result), self._era)
