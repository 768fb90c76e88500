"""Hears of changed lists from a modern server, for as long as the conversation lasts."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from actors.core import jsonrpc
from actors.core.headers import routing_headers
from actors.core.jsonrpc import Message
from actors.core.listing import Kind
from actors.core.outcome import FailureKind
from actors.core.revisions import LATEST_MODERN
from actors.upstream.asking import Asking
from actors.upstream.upstream import LISTS_MAY_DIFFER, Notified

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds before a subscription that ended is opened again; doubled each time, until one is acknowledged."""

METHOD: Final = "subscriptions/listen"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"

CallLater = Callable[[float, Callable[[], None]], asyncio.TimerHandle]
"""Calls a function after so many seconds."""

log = structlog.get_logger()


def wanted_changes(capabilities: Mapping[str, Any]) -> dict[str, bool]:
    """The notifications to ask for, by what the server offers."""
    return {
        f"{kind.value}ListChanged": True
        for kind in (Kind.TOOLS, Kind.RESOURCES, Kind.PROMPTS)
        if isinstance(capabilities.get(kind.value), dict) and capabilities[kind.value].get("listChanged")
    }


class Subscription:
    """One `subscriptions/listen` request at a time, opened again when it ends."""

    def __init__(
        self, asking: Asking, backend: str, params: bytes, notified: Notified, *, call_later: CallLater | None = None
    ) -> None:
        """`call_later` is the loop's, if it is not given."""
        self._asking = asking
        self._backend = backend
        self._params = params
        self._notified = notified
        self._call_later = call_later or asyncio.get_running_loop().call_later
        self._pause = FIRST_PAUSE
        self._number: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._missed = False

    def open(self) -> None:
        """Ask the server to tell."""
        self._number = number = self._asking.next_id()
        marks = routing_headers(METHOD, None, LATEST_MODERN)
        self._asking.transport.open(number, jsonrpc.request(number, METHOD, self._params), marks, self)

    def close(self) -> None:
        """Do not listen any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._number is not None:
            self._asking.transport.drop(self._number)
            self._number = None

    def message(self, message: Message) -> None:
        """See `Sink.message`."""
        if message.method is None:
            self._ended("the server ended it")
        elif message.method == ACKNOWLEDGED:
            self._pause = FIRST_PAUSE
            if self._missed:
                self._missed = False
                self._notified(LISTS_MAY_DIFFER)
        else:
            self._notified(message)

    def failed(self, kind: FailureKind, detail: str) -> None:
        """See `Sink.failed`."""
        self._ended(detail or kind.value)

    def _ended(self, reason: str) -> None:
        if self._number is None:
            return
        log.debug("subscription_ended", backend=self._backend, reason=reason)
        self._missed = True
        self._timer = self._call_later(self._pause, self.open)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
