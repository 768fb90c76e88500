"""A server's question to the client in the neutral form between the eras, and the client's answer.

An ask is `{"method": …, "params": {…}}`, as a modern server writes it into `inputRequests` (2026-07-28, basic/mrtr). An
answer is `{"result": {…}}` or `{"error": {…}}`, as a response of the handshake era without its envelope.
"""

from typing import Final

import msgspec

from actors.core import jsonrpc

ASKABLE: Final = frozenset({"elicitation/create", "sampling/createMessage", "roots/list"})
"""The questions there are; whatever else a server requests of its client is refused."""


class Ask(msgspec.Struct, frozen=True):
    """What the server wants to know."""

    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def body(self) -> bytes:
        """Its parameters, a JSON object."""
        return bytes(self.params)


class Answer(msgspec.Struct, frozen=True):
    """What the client said; one of the two is set."""

    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


_ask_decoder: Final = msgspec.json.Decoder(Ask)
_answer_decoder: Final = msgspec.json.Decoder(Answer)


def ask(method: str, params: bytes) -> bytes:
    """An ask as an event carries it; `params` is a JSON object."""
    return b'{"method":%b,"params":%b}' % (jsonrpc.encode(method), params)


def read_ask(data: bytes) -> Ask:
    """Decode an ask, its parameters left raw.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return jsonrpc.decode(_ask_decoder, data)


def result(value: bytes) -> bytes:
    """The answer that holds this result, a JSON object."""
    return b'{"result":%b}' % value


def refusal(error: bytes) -> bytes:
    """The answer that holds this error, a JSON-RPC error object."""
    return b'{"error":%b}' % error


def read_answer(data: bytes) -> Answer:
    """Decode an answer, its members left raw.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return jsonrpc.decode(_answer_decoder, data)
