"""JSON-RPC 2.0 as MCP uses it: codes, envelopes, and messages built by splicing bytes.

Results and parameters travel as raw JSON: what is not read is not decoded, so unknown fields arrive as they left.
"""

import json
from typing import Any, Final, TypeVar

import msgspec

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
RESOURCE_NOT_FOUND: Final = -32002
"""Handshake era only; the modern era says `INVALID_PARAMS` (2026-07-28, server/resources)."""
HEADER_MISMATCH: Final = -32020
MISSING_CLIENT_CAPABILITY: Final = -32021
UNSUPPORTED_REVISION: Final = -32022

PROTOCOL_VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CLIENT_INFO_KEY: Final = "io.modelcontextprotocol/clientInfo"
CLIENT_CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
LOG_LEVEL_KEY: Final = "io.modelcontextprotocol/logLevel"
SERVER_INFO_KEY: Final = "io.modelcontextprotocol/serverInfo"
SUBSCRIPTION_ID_KEY: Final = "io.modelcontextprotocol/subscriptionId"
PROGRESS_KEY: Final = "progressToken"

Object = dict[str, msgspec.Raw]
"""A JSON object of which only the keys are decoded. `msgspec.Raw` is no `bytes`, whatever its stub says: wrap it in
`bytes()` before comparing it, keeping it, or sending it over the bus."""


class Message(msgspec.Struct):
    """Any JSON-RPC message: a request has method and id, a notification a method, a response an id."""

    jsonrpc: str | None = None
    id: msgspec.Raw = msgspec.Raw()
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class ErrorObject(msgspec.Struct):
    """What is read of the `error` member of a response."""

    code: int
    message: str
    data: msgspec.Raw = msgspec.Raw()
    """Anything."""


_T = TypeVar("_T")

_message_decoder: Final = msgspec.json.Decoder(Message)
_object_decoder: Final = msgspec.json.Decoder(Object)
_text_decoder: Final = msgspec.json.Decoder(str)
_error_decoder: Final = msgspec.json.Decoder(ErrorObject)
_any_decoder: Final = msgspec.json.Decoder()
_list_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])
encode: Final = msgspec.json.Encoder().encode
"""Any value, `msgspec.Raw` included, as JSON bytes."""


def raw(value: Any) -> msgspec.Raw:
    """A value as JSON that fits among raw members."""
    return msgspec.Raw(encode(value))


def raw_bytes(value: bytes) -> msgspec.Raw:
    """Bytes that are JSON already, fit to stand among raw members."""
    return msgspec.Raw(value)


def decode(decoder: msgspec.json.Decoder[_T], data: bytes | bytearray | memoryview | msgspec.Raw) -> _T:
    """Decode with a decoder of one's own.

    Raises:
        msgspec.DecodeError: it is not JSON, not UTF-8, nested too deeply, or of another shape.
    """
    try:
        return decoder.decode(data)
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None
    except UnicodeDecodeError:
        raise msgspec.DecodeError("not UTF-8") from None


def decode_message(data: bytes | bytearray | memoryview) -> Message:
    """Decode one envelope, its id, params, result and error left raw.

    All of it is checked to be UTF-8: what stays raw is not looked at again, and must not break a reader further on.

    Raises:
        msgspec.DecodeError: it is not JSON, nested too deeply, or not an object of that shape.
    """
    message = decode(_message_decoder, data)
    whole = bytes(data)
    if not whole.isascii():
        try:
            whole.decode()
        except UnicodeDecodeError:
            raise msgspec.DecodeError("not UTF-8") from None
    return message


def decode_object(data: bytes | msgspec.Raw) -> Object:
    """Decode the keys of a JSON object, its values left raw. Nothing at all is an empty object.

    Raises:
        msgspec.DecodeError: it is not a JSON object.
    """
    return decode(_object_decoder, data) if data else {}


def decode_list(data: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """Decode a JSON array, its elements left raw.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return decode(_list_decoder, data)


def decode_text(data: bytes | msgspec.Raw) -> str:
    """Decode a raw member that must be a string.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return decode(_text_decoder, data)


def decode_error(data: bytes | msgspec.Raw) -> ErrorObject:
    """Decode an `error` member.

    Raises:
        msgspec.DecodeError: it is not a JSON-RPC error.
    """
    return decode(_error_decoder, data)


def value(data: bytes | msgspec.Raw | None) -> Any:
    """A raw member decoded whole; absent is `None`, like null.

    Raises:
        msgspec.DecodeError: it has a number beyond all bounds, or is nested too deeply.
    """
    return None if data is None else decode(_any_decoder, data)


def unambiguous(data: bytes | msgspec.Raw | None) -> Any:
    """As `value`, for what is judged here and then read by somebody else.

    Raises:
        msgspec.DecodeError: an object has a key twice, of which two readers may take different ones; or as `value`.
    """
    decoded = value(data)
    if data is not None:
        try:
            json.loads(bytes(data), object_pairs_hook=_without_repetition)
        except (ValueError, RecursionError) as error:
            raise msgspec.DecodeError("it cannot be read in one way only") from error
    return decoded


def text(data: bytes | msgspec.Raw | None) -> str | None:
    """A raw member that is a string; nothing if it is absent or of another type."""
    try:
        return None if data is None else decode_text(data)
    except msgspec.DecodeError:
        return None


def is_absent(data: bytes | msgspec.Raw | None) -> bool:
    """Whether a raw member is not there, or null."""
    return data is None or bytes(data) == b"null"


def is_object(data: bytes | msgspec.Raw) -> bool:
    """Whether a raw member is a JSON object."""
    return bytes(data).startswith(b"{")


def with_member(body: bytes, key: str, value: bytes) -> bytes:
    """Add one member to the front of a JSON object without decoding it.

    `body` must not have that key, and the key must need no escapes.
    """
    inner = body.strip()[1:]
    separator = b"" if inner.lstrip().startswith(b"}") else b","
    return b'{"%b":%b%b%b' % (key.encode(), value, separator, inner)


def request(request_id: int, method: str, params: bytes) -> bytes:
    """A request of ours; `params` is a JSON object."""
    return b'{"jsonrpc":"2.0","id":%d,"method":"%b","params":%b}' % (request_id, method.encode(), params)


def question(request_id: str, method: str, params: bytes) -> bytes:
    """A request of ours to a client; `params` is a JSON object."""
    return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}' % (encode(request_id), encode(method), params)


def notification(method: str, params: bytes = b"{}") -> bytes:
    """A notification; `params` is a JSON object."""
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), params)


def result_response(request_id: bytes, result: bytes) -> bytes:
    """A successful response; `request_id` as raw JSON, exactly as it came."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request_id, result)


def error_response(request_id: bytes, error: bytes) -> bytes:
    """A failed response; `error` is a JSON-RPC error object."""
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (request_id, error)


def error(code: int, message: str, data: Any = None) -> bytes:
    """A JSON-RPC error object, `data` left out if there is none."""
    members = {"code": code, "message": message}
    return encode(members if data is None else {**members, "data": data})


def _without_repetition(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key twice")
