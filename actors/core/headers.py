"""What a modern request says twice: in its body, and in HTTP headers that intermediaries may route on (SEP-2243).

The client side writes the headers, the server side refuses a request whose headers and body disagree (2026-07-28,
basic/transports/streamable-http, Request Metadata). Checks answer with a reason for people, or nothing; a reason
never repeats a value. Header mappings here have lower-case names, as `mcp_headers` makes them.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

REVISION_HEADER: Final = "MCP-Protocol-Version"
METHOD_HEADER: Final = "Mcp-Method"
NAME_HEADER: Final = "Mcp-Name"
PARAM_PREFIX: Final = "Mcp-Param-"

NAME_KEYS: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""The methods with an `Mcp-Name`, and the parameter it repeats (for tasks: SEP-2663, Routing Headers)."""

ANNOTATION: Final = "x-mcp-header"
"""The key of a property's schema which asks for an `Mcp-Param` header."""

_ANNOTATED_TYPES: Final = frozenset({"string", "integer", "boolean"})
"""Not `number`: floats are not written alike everywhere."""

_ARRAY_KEYS: Final = frozenset({"items", "contains", "unevaluatedItems"})
_OBJECT_KEYS: Final = frozenset({"additionalProperties", "unevaluatedProperties", "propertyNames"})
_ONE_SCHEMA: Final = _ARRAY_KEYS | _OBJECT_KEYS | {"not", "if", "then", "else", "contentSchema"}
_SCHEMA_LIST: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SCHEMA_MAP: Final = frozenset({"patternProperties", "dependentSchemas", "$defs", "definitions"})
"""With `properties`, every keyword of JSON Schema 2020-12 that holds schemas. `$ref` is not followed; `default`,
`const`, `enum` and `examples` hold data."""

_PREFIX: Final = "=?base64?"
_SUFFIX: Final = "?="
_OWS: Final = " \t"
_printable: Final = re.compile(r"[\x20-\x7e]*").fullmatch
_valid: Final = re.compile(r"[\t\x20-\x7e]*").fullmatch
_token: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_decimal: Final = re.compile(r"(-?[0-9]+)(?:\.0+)?").fullmatch


class ParamHeader(msgspec.Struct, frozen=True, array_like=True):
    """One argument of a tool that travels in a header too."""

    path: tuple[str, ...]
    """The keys that lead to it from the arguments."""
    header: str
    """The whole name of the header."""
    integer: bool = False


def mcp_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Pick the MCP headers of a request: names in lower case, white space around values gone.

    A repeated header gets a value that no check accepts, because readers of its first and of its last copy would
    disagree.
    """
    found: dict[str, str] = {}
    for name, value in raw:
        key = name.lower()
        if key.startswith(b"mcp-"):
            text = key.decode("latin-1")
            found[text] = "\n" if text in found else value.decode("latin-1").strip(_OWS)
    return found


def encode_value(value: str) -> str:
    """Make any text a header value: as it is if it is safe, else wrapped in the base64 sentinel.

    Raises:
        UnicodeEncodeError: it has a lone surrogate, which no header can carry.
    """
    if _printable(value) and value == value.strip(" ") and not _is_wrapped(value):
        return value
    return f"{_PREFIX}{base64.b64encode(value.encode()).decode()}{_SUFFIX}"


def decode_value(value: str) -> str | None:
    """Read a header value; nothing if it has forbidden characters or a malformed or non-canonical wrapping."""
    value = value.strip(_OWS)
    if not _valid(value):
        return None
    if not _is_wrapped(value):
        return value
    payload = value[len(_PREFIX) : -len(_SUFFIX)].encode()
    try:
        decoded = base64.b64decode(payload, validate=True)
        return decoded.decode() if base64.b64encode(decoded) == payload else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def routing_headers(method: str, name: str | None, revision: str) -> dict[str, str]:
    """The headers of every modern request; `name` as in the body, without use for methods not in `NAME_KEYS`."""
    headers = {REVISION_HEADER: revision, METHOD_HEADER: method}
    if name is not None and method in NAME_KEYS:
        headers[NAME_HEADER] = encode_value(name)
    return headers


def check_routing(method: str, name: str | None, revision: str, headers: Mapping[str, str]) -> str | None:
    """Say why the headers contradict the body's method, name and revision, or nothing if they agree.

    A method whose body lacks its name is not judged by its `Mcp-Name`: its parameters are invalid in any case.
    """
    for header, expected in ((REVISION_HEADER, revision), (METHOD_HEADER, method)):
        found = headers.get(header.lower())
        if found is None:
            return f"the {header} header is missing"
        if found.strip(_OWS) != expected:
            return f"the {header} header does not match the body"
    if name is None or method not in NAME_KEYS:
        return None
    found = headers.get(NAME_HEADER.lower())
    if found is None:
        return f"the {NAME_HEADER} header is missing"
    if decode_value(found) != name:
        return f"the {NAME_HEADER} header does not match the body's {NAME_KEYS[method]!r}"
    return None


def invalid_annotation(schema: Any) -> str | None:
    """Say why a tool with this input schema must not be offered over HTTP, or nothing.

    An annotation must be a header token, unlike the others but for case, on a string, integer or boolean that
    `properties` keys alone lead to.
    """
    seen: set[str] = set()
    for path, node in _positions(schema):
        if ANNOTATION not in node:
            continue
        if not path:
            return f"{ANNOTATION} stands where `properties` alone do not lead"
        where, name, kind = ".".join(path), node[ANNOTATION], node.get("type")
        if not isinstance(name, str) or not _token(name):
            return f"{ANNOTATION} of {where!r} is not a header token"
        if not isinstance(kind, str) or kind not in _ANNOTATED_TYPES:
            return f"{ANNOTATION} of {where!r} is on something else than a string, an integer or a boolean"
        if name.lower() in seen:
            return f"{ANNOTATION} of {where!r} is on another property too"
        seen.add(name.lower())
    return None


def param_headers(schema: Any) -> tuple[ParamHeader, ...]:
    """The arguments that travel in headers; none if the schema has an invalid annotation."""
    if invalid_annotation(schema) is not None:
        return ()
    return tuple(
        ParamHeader(path, PARAM_PREFIX + node[ANNOTATION], node["type"] == "integer")
        for path, node in _positions(schema)
        if path and ANNOTATION in node
    )


def headers_for(params: Iterable[ParamHeader], arguments: Mapping[str, Any]) -> dict[str, str]:
    """The headers that repeat these arguments; one which is absent, null or cannot be written has none."""
    headers: dict[str, str] = {}
    for param in params:
        value = _value_at(param.path, arguments)
        if param.integer and isinstance(value, float) and value.is_integer():
            value = int(value)  # 42.0 is an integer to JSON Schema, and 42 the decimal form of it
        text = _text(value)
        if text is not None:
            headers[param.header] = encode_value(text)
    return headers


def check_params(params: Iterable[ParamHeader], arguments: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    """Say which argument and header contradict each other, or nothing.

    A header without its argument is refused as well: somebody may have routed on what the body never said.
    """
    for param in params:
        found = headers.get(param.header.lower())
        value = _value_at(param.path, arguments)
        text = _text(value)
        if found is None and text is None:
            continue
        if found is None:
            return f"the {param.header} header is missing"
        decoded = decode_value(found)
        if decoded is None:
            return f"the {param.header} header is repeated or malformed"
        if text is None:
            return f"the {param.header} header repeats an argument that the body does not have"
        if decoded != text and not (param.integer and _equal_integers(value, decoded)):
            return f"the {param.header} header does not match the body's {'.'.join(param.path)!r}"
    return None


def _is_wrapped(value: str) -> bool:
    return len(value) >= len(_PREFIX + _SUFFIX) and value.startswith(_PREFIX) and value.endswith(_SUFFIX)


def _positions(root: Any) -> Iterator[tuple[tuple[str, ...] | None, dict[str, Any]]]:
    """Every schema within a schema, with the property keys that lead to it, or None if other keywords do too."""
    stack: list[tuple[tuple[str, ...] | None, Any]] = [((), root)]
    while stack:
        path, node = stack.pop()
        if not isinstance(node, dict):
            continue
        yield path, node
        for keyword, value in node.items():
            if keyword == "properties" and isinstance(value, dict):
                stack.extend((None if path is None else (*path, key), inner) for key, inner in value.items())
            elif keyword in _ONE_SCHEMA:
                stack.append((None, value))
            elif keyword in _SCHEMA_LIST and isinstance(value, list):
                stack.extend((None, inner) for inner in value)
            elif keyword in _SCHEMA_MAP and isinstance(value, dict):
                stack.extend((None, inner) for inner in value.values())


def _value_at(path: tuple[str, ...], arguments: Any) -> Any:
    for key in path:
        if not isinstance(arguments, Mapping):
            return None
        arguments = arguments.get(key)
    return arguments


def _text(value: Any) -> str | None:
    """An argument as both ends write it, or nothing if it has no such form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        return None
    try:
        text = str(value)
        text.encode()  # a lone surrogate has no UTF-8
    except ValueError:  # so has an integer of more digits than Python will write
        return None
    return text


def _equal_integers(value: object, decoded: str) -> bool:
    """Whether a header like `42` or `42.0` says the number in the body; exact however large."""
    match = _decimal(decoded)
    if match is None or isinstance(value, bool):
        return False
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    try:
        return int(match[1]) == whole
    except ValueError:  # more digits than Python will read
        return False
