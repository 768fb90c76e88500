"""Reads what a client sends: a JSON-RPC message, several in a batch, or the error it deserves."""

from typing import Final

import msgspec

from actors.core import ask, jsonrpc
from actors.core.jsonrpc import Message, Object
from actors.core.nesting import MAX_DEPTH, is_too_deep

NULL_ID: Final = b"null"
ID_LIMIT: Final = 512
"""Bytes of a request id; it is repeated in the answer and kept while the call runs."""

BATCH_LIMIT: Final = 256
"""Messages in a batch: each may be a call."""


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """A body that is no message."""

    code: int
    reason: str

    @property
    def response(self) -> bytes:
        """The answer it gets; there is no id to give back."""
        return jsonrpc.error_response(NULL_ID, jsonrpc.error(self.code, self.reason))


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """One request or notification."""

    method: str
    id: bytes | None
    """Raw JSON; nothing for a notification."""
    params: Object
    """Without `_meta`."""
    meta: Object


class Response(msgspec.Struct, frozen=True, gc=False):
    """A client's answer to a request of ours."""

    id: bytes
    """Raw JSON."""
    answer: bytes
    """As `core.ask` writes answers."""


Incoming = Envelope | Response | Malformed

_NO_MESSAGE: Final = Malformed(jsonrpc.INVALID_REQUEST, "the body is not a JSON-RPC 2.0 message")
_TOO_DEEP: Final = Malformed(jsonrpc.PARSE_ERROR, f"the body is nested more than {MAX_DEPTH} deep")


def read_batch(body: bytes) -> list[Incoming] | Malformed | None:
    """The messages of a batch (2025-03-26, basic, Batching), at least one; nothing if the body is no array.

    A body that is nested too deeply is malformed, whatever it is.
    """
    if is_too_deep(body):
        return _TOO_DEEP
    if body[:1] == b"{" or body.lstrip()[:1] != b"[":
        return None
    try:
        items = jsonrpc.decode_list(body)
    except msgspec.DecodeError:
        return Malformed(jsonrpc.PARSE_ERROR, "the body is not JSON")
    if not 0 < len(items) <= BATCH_LIMIT:
        return Malformed(jsonrpc.INVALID_REQUEST, f"a batch holds 1 to {BATCH_LIMIT} messages")
    return [read_message(bytes(item)) for item in items]


def read_message(body: bytes) -> Incoming:
    """Take one message apart, one level deep. Rungs, in order:

    1. It is JSON.
    2. It is an object with `jsonrpc` 2.0, and a method, or an id with a result or an error.
    3. Its id is a string or an integer.
    4. Its params and their `_meta` are objects, or null, which some clients write for nothing.
    """
    try:
        message = jsonrpc.decode_message(body)
    except msgspec.ValidationError:
        return _not_a_message(body)
    except msgspec.DecodeError:
        return Malformed(jsonrpc.PARSE_ERROR, "the body is not JSON")
    request_id = bytes(message.id)
    if message.jsonrpc != "2.0" or (message.method is None and not request_id):
        return _NO_MESSAGE
    if request_id and not _is_id(request_id):
        return Malformed(jsonrpc.INVALID_REQUEST, "an id is a string or an integer")
    if message.method is None:
        return _response(message)
    try:
        params = _members(message.params)
        meta = _members(params.pop("_meta", msgspec.Raw()))
    except msgspec.DecodeError:
        return Malformed(jsonrpc.INVALID_REQUEST, "params and their _meta are objects")
    return Envelope(message.method, request_id or None, params, meta)


def _response(message: Message) -> Response | Malformed:
    result, error = bytes(message.result), bytes(message.error)
    if jsonrpc.is_object(result) and not error:
        return Response(bytes(message.id), ask.result(result))
    if jsonrpc.is_object(error) and not result:
        return Response(bytes(message.id), ask.refusal(error))
    return _NO_MESSAGE


def _members(raw: msgspec.Raw) -> Object:
    return {} if bytes(raw) == b"null" else jsonrpc.decode_object(raw)


def _is_id(raw: bytes) -> bool:
    if len(raw) > ID_LIMIT:
        return False
    if raw[:1] == b'"':
        return True
    return raw.removeprefix(b"-").isdigit()


def _not_a_message(body: bytes) -> Malformed:
    """What is JSON but has another shape; the decoder stops at the shape, so the rest may not even be JSON."""
    try:
        body.decode()
        msgspec.json.decode(body, type=msgspec.Raw)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return Malformed(jsonrpc.PARSE_ERROR, "the body is not JSON")
    return _NO_MESSAGE
