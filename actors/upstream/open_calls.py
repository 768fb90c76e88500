"""The calls under way with one server.

A call keeps the number it was started with. The request that stands for it may be another one later on: a call that the
server refused before it ran is sent once more, and a modern server that asked is sent the answers.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from actors.core.attribution import have_one_owner
from actors.core.call import Call
from actors.core.jsonrpc import Message
from actors.core.log_levels import wants_log
from actors.core.outcome import Outcome, Reply
from actors.upstream.asking import Asking
from actors.upstream.upstream import Listener

Repair = asyncio.Task[bool]
"""Does away with the reason for a refusal; gives whether it could."""


class Errand(Protocol):
    """What a call waits for while no request stands for it."""

    def stop(self) -> None:
        """The call is over: go on with nothing."""


class OpenCall:
    """One call, from its start to its outcome."""

    __slots__ = ("_calls", "call", "errand", "listener", "number", "repaired", "request_id", "sent", "session")

    def __init__(self, calls: "OpenCalls", number: int, call: Call, listener: Listener) -> None:
        self._calls = calls
        self.number = number
        self.call = call
        """As it was last sent."""
        self.listener = listener
        self.request_id: int | None = number
        """The request that stands for it; nothing while it waits for something."""
        self.errand: Errand | None = None
        """What it waits for, if that is its own."""
        self.sent = 0
        """How often it was sent."""
        self.repaired = False
        """Whether it was refused once, and sent once more for that: it is not a second time."""
        self.session = 0
        """The session it was last sent in, for an adapter that has such."""

    @property
    def over(self) -> bool:
        """Whether nobody waits for its outcome any more."""
        return self not in self._calls

    def send(self, call: Call) -> None:
        """Send it, and from the second time on under a new id."""
        self.call = call
        self.errand = None
        self.request_id = self.number if not self.sent else self._calls.next_id()
        self.sent += 1
        self._calls.send(self, self.request_id)

    def hold(self, errand: Errand | None = None) -> None:
        """No request stands for it, until it is sent again or finished."""
        self.request_id = None
        self.errand = errand

    def send_after(self, repair: Repair, refusal: Outcome) -> None:
        """Send it once more as it was, when that is done; if it could not be done, the refusal is the outcome."""
        self.repaired = True
        self.hold()
        repair.add_done_callback(partial(self._mended, refusal))

    def finish(self, outcome: Outcome) -> None:
        """Tell what became of it."""
        if self._calls.forget(self.number) is not None:
            self._calls.replies += isinstance(outcome, Reply)
            self.listener.finished(outcome)

    def _mended(self, refusal: Outcome, repair: Repair) -> None:
        if self.over:
            return  # cancelled meanwhile
        if repair.cancelled() or not repair.result():
            self.finish(refusal)
        else:
            self.send(self.call)


class OpenCalls:
    """All of them, by number."""

    def __init__(self, asking: Asking, send: Callable[[OpenCall, int], None]) -> None:
        """`send` opens a request with this id on behalf of a call."""
        self.next_id = asking.next_id
        self.send = send
        self._open: dict[int, OpenCall] = {}
        self.replies = 0
        """Calls that the server has answered."""

    def __contains__(self, call: OpenCall) -> bool:
        return call.number in self._open

    def start(self, call: Call, listener: Listener) -> OpenCall:
        """Make a call that is yet to be sent."""
        number = self.next_id()
        self._open[number] = opened = OpenCall(self, number, call, listener)
        return opened

    def forget(self, number: int) -> OpenCall | None:
        """Let go of a call, and of what it waits for; nothing if it is over already."""
        call = self._open.pop(number, None)
        if call is not None and call.errand is not None:
            call.errand.stop()
        return call

    def of_one_owner(self) -> Iterator[OpenCall]:
        """The calls under way if they are all one caller's, the latest first; else none."""
        if have_one_owner(opened.call for opened in self._open.values()):
            yield from reversed(self._open.values())

    def log(self, message: Message) -> None:
        """Give a `notifications/message` that came on no call's stream to the call it may belong to, if it can be told.

        Else it is dropped: it may speak of what another caller did.
        """
        for opened in self.of_one_owner():
            if wants_log(opened.call.log_level, message.params):
                opened.listener.log(bytes(message.params))
                return

    def __len__(self) -> int:
        return len(self._open)
