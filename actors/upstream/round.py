"""One round of questions of a modern server: its client is asked them all, and the request is sent again with the
answers.

An answer that is an error has no form in the retry. Of an elicitation the server hears that the user cancelled it,
which is what it is told when a client cannot show one (2026-07-28, client/elicitation, Response Actions). After any
other question the call ends with the client's error: the server does not wait for an answer (client/sampling and
client/roots, Error Handling).
"""

import asyncio
from functools import partial
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.ask import Ask, ask, read_answer
from actors.core.capabilities import supports
from actors.core.input_required import Required, retry
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from actors.upstream.open_calls import OpenCall
from actors.upstream.upstream import CallLater

MAX_ROUNDS: Final = 16
"""A server that still asks after so many would do so for ever."""

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
"""Seconds before a server that asked nothing, and only wants to be asked again, is; doubled in each round."""

_CANCELLED: Final = b'{"action":"cancel"}'


class Round:
    """Gathers what one `input_required` result asks for; an errand of its call."""

    def __init__(self, opened: OpenCall, required: Required, backend: str, call_later: CallLater) -> None:
        self._opened = opened
        self._required = required
        self._backend = backend
        self._call_later = call_later
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[str, int] = {}
        self._responses: dict[str, bytes] = {}
        self._over = False

    def begin(self) -> None:
        """Ask. Rungs, in order:

        1. Not in too many rounds.
        2. What asks nothing is sent again after a pause.
        3. Only what the client declared that it can be asked.
        4. All or nothing.
        """
        opened, asks = self._opened, self._required.asks
        opened.hold(self)
        if opened.sent > MAX_ROUNDS:
            self._fail(FailureKind.PROTOCOL, f"it still asked after {MAX_ROUNDS} rounds")
        elif not asks:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (opened.sent - 1))
            self._timer = self._call_later(pause, self._send_again)
        elif undeclared := self._undeclared():
            self._fail(FailureKind.PROTOCOL, f"it asks the client what that did not declare: {undeclared}")
        else:
            for name, question in asks.items():
                answered = partial(self._answered, name, question)
                number = opened.listener.ask(ask(question.method, question.body), answered)
                if number is None:
                    self._fail(FailureKind.UNSUPPORTED, "the client cannot be asked now: too many questions wait")
                    return
                self._waiting[name] = number

    def stop(self) -> None:
        """See `Errand.stop`. The listener forgets by itself what is not answered."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()

    def _undeclared(self) -> str | None:
        capabilities = self._opened.call.capabilities
        for question in self._required.asks.values():
            if not supports(capabilities, question.method, question.body):
                return question.method
        return None

    def _answered(self, name: str, question: Ask, data: bytes) -> None:
        if self._over:
            return
        del self._waiting[name]
        try:
            answer = read_answer(data)
        except msgspec.DecodeError:
            answer = read_answer(b"{}")
        if jsonrpc.is_object(answer.result):
            self._responses[name] = bytes(answer.result)
        elif question.method == "elicitation/create":
            self._responses[name] = _CANCELLED
        else:
            self._end_with(bytes(answer.error) or jsonrpc.error(jsonrpc.INTERNAL_ERROR, "the client gave no answer"))
            return
        if not self._waiting:
            self._send_again()

    def _send_again(self) -> None:
        opened, required = self._opened, self._required
        ordered = {name: self._responses[name] for name in required.asks}
        params = retry(opened.call.params, ordered, required.state)
        opened.send(msgspec.structs.replace(opened.call, params=params))

    def _end_with(self, error: bytes) -> None:
        self._withdraw()
        self._opened.finish(Reply(error, Era.MODERN, is_error=True))

    def _fail(self, kind: FailureKind, detail: str) -> None:
        self._withdraw()
        self._opened.finish(Failure(kind, self._backend, detail))

    def _withdraw(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for number in waiting.values():
            self._opened.listener.withdraw(number)
