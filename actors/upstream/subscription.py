"""Hears of changed lists and resources from a modern server, for as long as the conversation lasts.

Source: 2026-07-28, basic/patterns/subscriptions. What a stream tells of is fixed when it is opened: for a change
another one is opened, and takes over when the server acknowledges it.
"""

import asyncio
from typing import Any, Final

import msgspec
import structlog

from actors.core import jsonrpc
from actors.core.headers import routing_headers
from actors.core.jsonrpc import Message
from actors.core.listing import Facts, Kind
from actors.core.outcome import FailureKind
from actors.core.revisions import LATEST_MODERN
from actors.upstream.asking import NO_HEADERS, Asking
from actors.upstream.upstream import LISTS_MAY_DIFFER, CallLater, Notified, may_be_updated, settled

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds before a subscription that ended is opened again; doubled each time, until one is acknowledged."""

METHOD: Final = "subscriptions/listen"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"

log = structlog.get_logger()


class _Meta(msgspec.Struct):
    subscription: int | str | None = msgspec.field(name=jsonrpc.SUBSCRIPTION_ID_KEY, default=None)


class _Filter(msgspec.Struct, rename="camel"):
    resource_subscriptions: list[str] = []


class _Params(msgspec.Struct):
    meta: _Meta = msgspec.field(name="_meta", default_factory=_Meta)
    notifications: _Filter = msgspec.field(default_factory=_Filter)


def wanted_changes(facts: Facts) -> dict[str, Any]:
    """The list changes to ask for, by what the server offers."""
    kinds = (Kind.TOOLS, Kind.RESOURCES, Kind.PROMPTS)
    return {f"{kind.value}ListChanged": True for kind in kinds if facts.offers(kind.value, "listChanged")}


class _Stream:
    """One `subscriptions/listen` request."""

    def __init__(self, subscription: "Subscription", number: int) -> None:
        self.number = number
        self._subscription = subscription

    def message(self, message: Message) -> None:
        """See `Sink.message`."""
        if message.method is None:
            self._subscription.ended(self, "the server ended it")
        else:
            self._subscription.heard(self, message)

    def failed(self, kind: FailureKind, detail: str) -> None:
        """See `Sink.failed`."""
        self._subscription.ended(self, detail or kind.value)


class Subscription:
    """At most one stream that tells, and one that is to take over from it; opened again when it ends."""

    def __init__(
        self, asking: Asking, backend: str, facts: Facts, notified: Notified, *, envelope: bytes, call_later: CallLater
    ) -> None:
        """`envelope` is the `_meta` of a request of our own, a JSON object."""
        self._asking = asking
        self._transport = asking.transport
        self._backend = backend
        self._notified = notified
        self._envelope = envelope
        self._call_later = call_later
        self._changes = wanted_changes(facts)
        self._follows = facts.offers("resources", "subscribe")
        self._uris: frozenset[str] = frozenset()
        self._pause = FIRST_PAUSE
        self._telling: _Stream | None = None
        self._opening: _Stream | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._missed = False

    def begin(self) -> None:
        """Ask the server to tell, if there is something that it could tell."""
        if self._changes or self._uris:
            self._open()

    def follow(self, uris: frozenset[str]) -> None:
        """From now on hear of just these resources, if the server offers that."""
        if not self._follows or uris == self._uris:
            return
        self._uris = uris
        self._drop(self._opening)
        self._opening = None
        if not (self._changes or uris):
            self.close()
        elif self._timer is None:
            self._open()

    def close(self) -> None:
        """Do not listen any more."""
        if self._timer is not None:
            self._timer.cancel()
        telling, opening = self._telling, self._opening
        self._timer = self._telling = self._opening = None
        self._drop(telling)
        self._drop(opening)

    def message(self, message: Message) -> None:
        """Take what came on no stream: over stdio everything does, and says itself what it belongs to."""
        number = _params(message).meta.subscription
        streams = [stream for stream in (self._telling, self._opening) if stream is not None]
        known = [stream for stream in streams if number in (stream.number, None)]
        if known:
            self.heard(known[-1 if message.method == ACKNOWLEDGED else 0], message)
        elif message.method != ACKNOWLEDGED and number is None:
            self._notified(message)

    def heard(self, stream: _Stream, message: Message) -> None:
        """One of the streams told something."""
        if message.method == ACKNOWLEDGED:
            if stream is self._opening:
                self._take_over(stream, _params(message).notifications.resource_subscriptions)
        elif stream is self._telling or self._telling is None:
            self._notified(message)

    def ended(self, stream: _Stream, reason: str) -> None:
        """One of the streams gives no more."""
        if stream not in (self._telling, self._opening):
            return
        log.debug("subscription_ended", backend=self._backend, reason=reason)
        if stream is self._opening:
            self._opening = None
        else:
            self._telling = None
        self._missed = self._missed or self._telling is None
        if self._opening is None and self._timer is None:
            self._timer = self._call_later(self._pause, self._open_again)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _open_again(self) -> None:
        self._timer = None
        self._open()

    def _open(self) -> None:
        wanted = self._changes | ({"resourceSubscriptions": sorted(self._uris)} if self._uris else {})
        params = jsonrpc.with_member(jsonrpc.encode({"notifications": wanted}), "_meta", self._envelope)
        number = self._asking.next_id()
        self._opening = stream = _Stream(self, number)
        marks = routing_headers(METHOD, None, LATEST_MODERN)
        self._transport.open(number, jsonrpc.request(number, METHOD, params), marks, stream)

    def _take_over(self, stream: _Stream, honoured: list[str]) -> None:
        before, self._telling, self._opening = self._telling, stream, None
        self._drop(before)
        self._pause = FIRST_PAUSE
        missed, self._missed = self._missed, False
        refused = self._uris.difference(honoured)
        if refused:
            log.warning("subscription_refused", backend=self._backend, resources=len(refused))
        for uri in sorted(self._uris):
            self._notified(settled(uri))
        if missed:
            self._notified(LISTS_MAY_DIFFER)
            for uri in sorted(self._uris.intersection(honoured)):
                self._notified(may_be_updated(uri))

    def _drop(self, stream: _Stream | None) -> None:
        if stream is None:
            return
        self._transport.drop(stream.number)
        if not self._transport.drop_cancels:
            params = jsonrpc.encode({"requestId": stream.number, "reason": "it is not needed any more"})
            self._transport.send(jsonrpc.notification("notifications/cancelled", params), NO_HEADERS)


def _params(message: Message) -> _Params:
    try:
        return msgspec.json.decode(message.params or b"{}", type=_Params)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _Params()
