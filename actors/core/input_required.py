"""Answers of a modern server that are questions, and the request that brings it what it wants to know.

Source: 2026-07-28, basic/patterns/mrtr, and basic, ResultType.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.ask import ASKABLE, Ask

ASKING_METHODS: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The requests during which a server may ask its client; of other requests a modern client knows no way to be asked."""

COMPLETE: Final = "complete"
INPUT_REQUIRED: Final = "input_required"
RESULT_TYPES: Final = frozenset({COMPLETE, INPUT_REQUIRED, "task"})
"""What a result can be; the last one is of the tasks extension, and ends the request like any result."""

RETRY_KEYS: Final = ("inputResponses", "requestState")
"""What a retry has, and the request before it had not."""


class _Typed(msgspec.Struct):
    result_type: str = msgspec.field(name="resultType", default=COMPLETE)


class _Required(msgspec.Struct, rename="camel"):
    input_requests: dict[str, Ask] | None = None
    request_state: msgspec.Raw = msgspec.Raw()


class Required(msgspec.Struct, frozen=True):
    """What a server wants before it goes on."""

    asks: dict[str, Ask]
    """By its own names for them; none, if it only wants to be asked again."""
    state: bytes | None
    """Its `requestState`, a JSON string exactly as it came, if there is one."""


_typed_decoder: Final = msgspec.json.Decoder(_Typed)
_required_decoder: Final = msgspec.json.Decoder(_Required)


def result_type(body: bytes) -> str:
    """What kind of result this is; an old server that does not say means that it is complete.

    Raises:
        msgspec.DecodeError: it says something that is no text.
    """
    return jsonrpc.decode(_typed_decoder, body).result_type


def read_required(body: bytes) -> Required:
    """Decode a result whose type is `input_required`.

    Raises:
        msgspec.DecodeError: it is none: it wants nothing, or something that clients are not asked.
    """
    found = jsonrpc.decode(_required_decoder, body)
    asks, state = found.input_requests or {}, bytes(found.request_state)
    if state and jsonrpc.text(state) is None:
        raise msgspec.DecodeError("its requestState is no text")
    if not asks and not state:
        raise msgspec.DecodeError("it requires an input and does not say which")
    for ask in asks.values():
        if ask.method not in ASKABLE or not jsonrpc.is_object(ask.body):
            raise msgspec.DecodeError(f"clients are not asked {ask.method[:64]!r}")
    return Required(asks, state or None)


def retry(params: bytes, responses: Mapping[str, bytes], state: bytes | None) -> bytes:
    """The parameters of a request again, with these results of the client and this state, and with no older ones."""
    members = jsonrpc.decode_object(params)
    for key in RETRY_KEYS:
        members.pop(key, None)
    if responses:
        named = {name: jsonrpc.raw_bytes(response) for name, response in responses.items()}
        members["inputResponses"] = jsonrpc.raw(named)
    if state is not None:
        members["requestState"] = jsonrpc.raw_bytes(state)
    return jsonrpc.encode(members)
