"""Reads a line of the client: a request, a notification, an answer to a request of the server, a batch, or nonsense."""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.jsonrpc import Message, Object
from actors.core.lines import Overlong

NULL_ID: Final = b"null"
ID_LIMIT: Final = 512
"""Bytes of a request id: it is kept while the request is open, and repeated."""
NO_MESSAGE: Final = "the line is not a JSON-RPC 2.0 message"
BATCH_LIMIT: Final = 256
"""Messages in a batch: each may be a call."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    id: bytes
    """Raw JSON."""
    key: str | int
    """The same id, however it is written."""
    method: str
    params: Object
    """Without `_meta`."""
    meta: Object
    body: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """A notification."""

    method: str
    params: Object
    """Without `_meta`."""
    meta: Object
    body: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer to a request of the server."""

    id: bytes
    """Raw JSON."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """What is no message, with the response it gets."""

    response: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Several at once (2025-03-26, basic, Batching)."""

    messages: tuple["Incoming", ...]


Incoming = Asked | Told | Answered | Refused

_items_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])


def refusal(code: int, reason: str, request_id: bytes = NULL_ID) -> Refused:
    """The response to what will not be sent on."""
    return Refused(jsonrpc.error_response(request_id, jsonrpc.error(code, reason)))


def id_key(raw: bytes) -> str | int | None:
    """A raw id as a key that does not depend on how it is written; nothing if it is no string and no integer."""
    if len(raw) > ID_LIMIT or not (raw[:1] == b'"' or raw.removeprefix(b"-").isdigit()):
        return None
    try:
        key = jsonrpc.value(raw)
    except msgspec.DecodeError:
        return None
    return key if isinstance(key, str | int) else None


def read(line: bytes) -> Incoming | Batch:
    """Take one line apart, one level deep. Rungs, in order:

    1. An array is a batch of what follows.
    2. It is JSON, and an object with `jsonrpc` 2.0.
    3. With an id and without a method it is an answer, and has a result or an error.
    4. The id of a request is a string or an integer.
    5. Its params and their `_meta` are objects, or null, which some clients write for nothing.
    """
    if line.lstrip()[:1] == b"[":
        return _batch(line)
    try:
        message = jsonrpc.decode_message(line)
    except msgspec.ValidationError:
        return _no_message(line)
    except msgspec.DecodeError:
        return refusal(jsonrpc.PARSE_ERROR, "the line is not JSON")
    given = bytes(message.id)
    key = id_key(given)
    if message.jsonrpc != "2.0" or (message.method is None and not _is_answer(message)):
        return refusal(jsonrpc.INVALID_REQUEST, NO_MESSAGE, NULL_ID if key is None else given)
    if message.method is None:
        return Answered(given, line)
    if given and key is None:
        return refusal(jsonrpc.INVALID_REQUEST, "an id is a string or an integer")
    try:
        params = _members(message.params)
        meta = _members(params.pop("_meta", msgspec.Raw()))
    except msgspec.DecodeError:
        return refusal(jsonrpc.INVALID_REQUEST, "params and their _meta are objects", given or NULL_ID)
    if key is None:
        return Told(message.method, params, meta, line)
    return Asked(given, key, message.method, params, meta, line)


def read_overlong(line: Overlong, limit: int) -> Refused | None:
    """The response to a line over the limit; nothing if it is certainly no request."""
    request_id = _overlong_id(line)
    if request_id is None and b'"method"' not in line.head + line.tail:
        return None
    return refusal(jsonrpc.INVALID_REQUEST, f"the line is over {limit} bytes", request_id or NULL_ID)


def _batch(line: bytes) -> Batch | Refused:
    try:
        line.decode()
        items = _items_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return refusal(jsonrpc.PARSE_ERROR, "the line is not JSON")
    if not 0 < len(items) <= BATCH_LIMIT:
        return refusal(jsonrpc.INVALID_REQUEST, f"a batch holds 1 to {BATCH_LIMIT} messages")
    parts = (read(bytes(item)) for item in items)
    nested = refusal(jsonrpc.INVALID_REQUEST, "a batch holds no other batch")
    return Batch(tuple(nested if isinstance(part, Batch) else part for part in parts))


def _no_message(line: bytes) -> Refused:
    """What is JSON but has another shape; the decoder stops at the shape, so the rest may not even be JSON."""
    try:
        line.decode()
        msgspec.json.decode(line, type=msgspec.Raw)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return refusal(jsonrpc.PARSE_ERROR, "the line is not JSON")
    return refusal(jsonrpc.INVALID_REQUEST, NO_MESSAGE)


def _members(raw: msgspec.Raw) -> Object:
    return {} if jsonrpc.is_absent(raw) else jsonrpc.decode_object(raw)


def _is_answer(message: Message) -> bool:
    return bool(message.id) and bool(message.result) != bool(message.error)


_OPENING: Final = rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?'
_ID: Final = rb'"id"\s*:\s*(-?[0-9]{1,18}|"[^"\\\x00-\x1f]{0,128}")'
_ID_FIRST: Final = re.compile(_OPENING + _ID + rb'\s*,\s*"method"\s*:')
_METHOD_FIRST: Final = re.compile(_OPENING + rb'"method"\s*:')
_ID_LAST: Final = re.compile(rb",\s*" + _ID + rb'\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z')


def _overlong_id(line: Overlong) -> bytes | None:
    """The id of a request of which only the ends are known, or nothing unless that is certain.

    Both patterns are anchored at an end of the line, where no member of a nested object can stand.
    """
    found = _ID_FIRST.match(line.head)
    if found is None and _METHOD_FIRST.match(line.head):
        found = _ID_LAST.search(line.tail)
    return bytes(found[1]) if found else None
