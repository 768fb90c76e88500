"""The calls under way with one server: each is sent once, and once more if the server refused it before it ran.

A call keeps the number it was started with; the request that stands for it has an id of its own.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from actors.core.call import Call
from actors.core.outcome import Outcome
from actors.upstream.asking import Asking
from actors.upstream.upstream import Listener

Finish = Callable[[Outcome], None]
"""Takes the outcome of one request."""

Repair = asyncio.Task[bool]
"""Does away with the reason for a refusal; gives whether it could."""


class OpenCalls:
    """Sends calls, and repeats what was refused unseen when the cause is repaired; what was cancelled never."""

    def __init__(
        self,
        asking: Asking,
        send: Callable[[int, Call, Listener, Finish], None],
        render: Callable[[Outcome], Outcome] = lambda outcome: outcome,
    ) -> None:
        """`send` opens one request, and has `Finish` called with its outcome; `render` makes that fit for listeners."""
        self._next_id = asking.next_id
        self._send = send
        self._render = render
        self._repeated: dict[int, int | None] = {}
        """The request that now stands for a call; nothing while the call waits for a repair."""

    def start(self, call: Call, listener: Listener, repair: Callable[[Outcome], Repair | None]) -> int:
        """Send a call and give its number. `repair` says of its outcome what has to be awaited before it is repeated.

        If the repair fails, that outcome stands.
        """
        number = self._next_id()

        def finish(outcome: Outcome) -> None:
            mending = repair(outcome)
            if mending is None:
                listener.finished(self._render(outcome))
            else:
                self._repeated[number] = None
                mending.add_done_callback(partial(self._mended, number, call, listener, outcome))

        self._send(number, call, listener, finish)
        return number

    def forget(self, number: int) -> int | None:
        """Let go of a call; gives the request that stands for it, or nothing if the server does not have it now."""
        return self._repeated.pop(number, number)

    def _mended(self, number: int, call: Call, listener: Listener, outcome: Outcome, mending: Repair) -> None:
        if number not in self._repeated:
            return  # cancelled meanwhile

        def finish(outcome: Outcome) -> None:
            self.forget(number)
            listener.finished(self._render(outcome))

        if mending.cancelled() or not mending.result():
            finish(outcome)
        else:
            self._repeated[number] = request_id = self._next_id()
            self._send(request_id, call, listener, finish)
