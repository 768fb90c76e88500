"""What a handshake server asks its client mid-call, and the answers that go back to it.

Source: 2025-11-25, client/elicitation, client/sampling, client/roots.
"""

from functools import partial
from typing import Final

import msgspec
import structlog

from actors.core import jsonrpc
from actors.core.ask import ASKABLE, Answer, ask, read_answer
from actors.core.ask_forms import answer_for, without_envelope
from actors.core.capabilities import supports
from actors.core.impossible import Impossible
from actors.core.input_required import ASKING_METHODS
from actors.core.jsonrpc import Message
from actors.core.revisions import LATEST_HANDSHAKE
from actors.transports.transport import Transport
from actors.upstream.asking import NO_HEADERS
from actors.upstream.open_calls import OpenCall

MAX_OPEN: Final = 4096
"""Questions without an answer, of all calls together: it only bounds the map should the layers above fail to."""

log = structlog.get_logger()


class _Question:
    """One request of the server; it is answered once, or never if the server took it back."""

    __slots__ = ("call", "method", "number", "over")

    def __init__(self, call: OpenCall, method: str) -> None:
        self.call = call
        self.method = method
        self.number: int | None = None
        """What the listener knows it by."""
        self.over = False


class Questions:
    """The requests of one server that wait for the client of a call; each is named by its id, exactly as it came."""

    def __init__(self, transport: Transport, backend: str) -> None:
        self._transport = transport
        self._backend = backend
        self._open: dict[bytes, _Question] = {}
        self.revision = LATEST_HANDSHAKE
        """The one the server speaks, and is answered in."""

    def __len__(self) -> int:
        return len(self._open)

    def ask(self, message: Message, call: OpenCall) -> None:
        """Ask the client of a call, or refuse it to the server. Rungs, in order:

        1. A question that is asked already is answered once.
        2. Only what clients can be asked, and what this one can be asked during this call and declared.
        3. Not too much at once.
        """
        method, params = message.method or "", bytes(message.params) or b"{}"
        name = bytes(message.id)
        if name in self._open:
            return
        if method not in ASKABLE:
            self.refuse(message, f"{method[:64]} is not offered by this client")
        elif not jsonrpc.is_object(params):
            self.refuse(message, "its parameters are not a JSON object", jsonrpc.INVALID_PARAMS)
        elif not (call.call.interactive or call.call.method in ASKING_METHODS):
            self.refuse(message, f"the client of this call cannot be asked during {call.call.method}")
        elif not supports(call.call.capabilities, method, params):
            self.refuse(message, f"the client of this call did not declare that it can be asked this: {method}")
        elif not self._pass_on(name, method, params, call):
            self.refuse(message, "the client cannot be asked now: too many questions wait", jsonrpc.INTERNAL_ERROR)

    def refuse(self, message: Message, sentence: str, code: int = jsonrpc.METHOD_NOT_FOUND) -> None:
        """Answer a request of the server with an error."""
        log.info("question_refused", backend=self._backend, method=(message.method or "")[:64], reason=sentence)
        self._transport.send(jsonrpc.error_response(bytes(message.id), jsonrpc.error(code, sentence)), NO_HEADERS)

    def withdraw(self, name: bytes) -> None:
        """The server takes a question back; one that it does not ask is let be."""
        question = self._open.pop(name, None)
        if question is not None and question.number is not None:
            question.over = True
            question.call.listener.withdraw(question.number)

    def forget(self, call: OpenCall) -> None:
        """A call is over: what was asked for it can still be answered, but is not waited for."""
        if self._open:
            self._open = {name: question for name, question in self._open.items() if question.call is not call}

    def withdraw_all(self) -> None:
        """The server does not know any more what it asked."""
        for name in list(self._open):
            self.withdraw(name)

    def _pass_on(self, name: bytes, method: str, params: bytes, call: OpenCall) -> bool:
        if len(self._open) >= MAX_OPEN:
            return False
        question = _Question(call, method)
        answered = partial(self._answered, name, question)
        question.number = call.listener.ask(ask(method, without_envelope(params)), answered)
        if question.number is not None:
            self._open[name] = question
        return question.number is not None

    def _answered(self, name: bytes, question: _Question, data: bytes) -> None:
        if question.over:
            return
        question.over = True
        if self._open.get(name) is question:
            del self._open[name]
        self._transport.send(self._response(name, question.method, data), NO_HEADERS)

    def _response(self, name: bytes, method: str, data: bytes) -> bytes:
        """The client's answer as the server's revision has it, or why there is none."""
        try:
            answer = read_answer(data)
        except msgspec.DecodeError:
            answer = Answer()
        if not jsonrpc.is_object(answer.result):
            error = bytes(answer.error) or jsonrpc.error(jsonrpc.INTERNAL_ERROR, "the client gave no answer")
            return jsonrpc.error_response(name, error)
        told = answer_for(self.revision, method, bytes(answer.result))
        if isinstance(told, Impossible):
            return jsonrpc.error_response(name, jsonrpc.error(jsonrpc.INTERNAL_ERROR, told.reason))
        return jsonrpc.result_response(name, told)
