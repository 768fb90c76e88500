"""A server's answer in the form of the client's revision.

Within one era it passes untouched but for what came later than the client; between them only the members that one of
the two does not have come and go.
"""

from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.call_result import call_result_for
from actors.core.identity import GATEWAY_INFO
from actors.core.jsonrpc import Object
from actors.core.outcome import Reply
from actors.core.revisions import Era, era_of

RESULT_TYPE: Final = "resultType"
COMPLETE: Final = b'"complete"'

CACHE_HINTS: Final = {"ttlMs": b"0", "cacheScope": b'"private"'}
"""What is always safe to say of a result whose server gave no hint (2026-07-28, server/utilities/caching)."""

CACHEABLE: Final = frozenset({"resources/read"})
"""Routed methods whose complete result must carry cache hints; the lists and discovery are ours to render."""

_GATEWAY_INFO: Final = jsonrpc.encode(GATEWAY_INFO)

_RESERVED_CODES: Final = range(-32099, -32019)
"""Codes that the modern era keeps for itself (2026-07-28, basic, Error Codes); a handshake server means others."""


def result_for(revision: str, method: str, reply: Reply) -> bytes | None:
    """The `result` member for a client of `revision`; nothing if the answer has no form there.

    A modern server's question to a handshake client is such an answer. What is no JSON object passes as it is.
    """
    try:
        if era_of(revision) is Era.MODERN:
            return _modern_result(method, reply)
        body = reply.body if reply.era is Era.HANDSHAKE else _legacy_result(reply.body)
    except msgspec.DecodeError:
        return reply.body
    return None if body is None else call_result_for(revision, method, body)


def error_for(era: Era, method: str, reply: Reply) -> tuple[int, bytes]:
    """The code and the `error` member for a client of `era`."""
    try:
        told = jsonrpc.decode_error(reply.body).code
    except msgspec.DecodeError:
        message = "the server's error is not a JSON-RPC error"
        return jsonrpc.INTERNAL_ERROR, jsonrpc.error(jsonrpc.INTERNAL_ERROR, message)
    if told == jsonrpc.MISSING_CLIENT_CAPABILITY and _names_capabilities(reply.body):
        return told, reply.body  # a server that knows what its client can be asked says so in whatever era
    code = _modern_code(told, reply.era) if era is Era.MODERN else _legacy_code(told, reply.era, method)
    if code == told:
        return code, reply.body
    return code, jsonrpc.encode({**jsonrpc.decode_object(reply.body), "code": jsonrpc.raw(code)})


def complete(members: Object, server_info: bytes = _GATEWAY_INFO, meta: bytes = b"{}") -> bytes:
    """A complete modern result of our own, with the hints and the `serverInfo`, a JSON object, that it owes.

    `meta` is what else its `_meta` has, a JSON object.
    """
    owed = {RESULT_TYPE: COMPLETE, **CACHE_HINTS, "_meta": _meta(server_info, meta)}
    return jsonrpc.encode({**{key: msgspec.Raw(value) for key, value in owed.items()}, **members})


def _modern_result(method: str, reply: Reply) -> bytes:
    body = reply.body
    members = jsonrpc.decode_object(body)
    if RESULT_TYPE in members:
        if reply.era is Era.MODERN:
            return body
        # the handshake era has no such member: a modern client would take it for what it never meant
        del members[RESULT_TYPE]
        body = jsonrpc.encode(members)
    owed = {RESULT_TYPE: COMPLETE, "_meta": _meta(_GATEWAY_INFO)}
    if method in CACHEABLE:
        owed |= CACHE_HINTS
    told = members.get("_meta", b"")
    if jsonrpc.is_object(told) and jsonrpc.SERVER_INFO_KEY not in jsonrpc.decode_object(told):
        members["_meta"] = jsonrpc.raw_bytes(_meta(_GATEWAY_INFO, told))
        body = jsonrpc.encode(members)
    for key, value in owed.items():
        if key not in members:
            body = jsonrpc.with_member(body, key, value)
    return body


def _legacy_result(body: bytes) -> bytes | None:
    members = jsonrpc.decode_object(body)
    if bytes(members.pop(RESULT_TYPE, COMPLETE)) != COMPLETE:
        return None
    for key in CACHE_HINTS:
        members.pop(key, None)
    meta = members.get("_meta", b"")
    if jsonrpc.is_object(meta):
        kept = jsonrpc.decode_object(meta)
        if kept.pop(jsonrpc.SERVER_INFO_KEY, None) is not None:
            members["_meta"] = jsonrpc.raw(kept)
            if not kept:
                del members["_meta"]
    return jsonrpc.encode(members)


def _names_capabilities(error: bytes) -> bool:
    try:
        return "requiredCapabilities" in jsonrpc.decode_object(jsonrpc.decode_error(error).data)
    except msgspec.DecodeError:
        return False


def _modern_code(code: int, told_in: Era) -> int:
    if code == jsonrpc.RESOURCE_NOT_FOUND:
        return jsonrpc.INVALID_PARAMS
    return jsonrpc.INTERNAL_ERROR if told_in is Era.HANDSHAKE and code in _RESERVED_CODES else code


def _legacy_code(code: int, told_in: Era, method: str) -> int:
    not_found = told_in is Era.MODERN and method == "resources/read" and code == jsonrpc.INVALID_PARAMS
    return jsonrpc.RESOURCE_NOT_FOUND if not_found else code


def _meta(server_info: bytes, told: bytes | msgspec.Raw = b"{}") -> bytes:
    return jsonrpc.with_member(bytes(told), jsonrpc.SERVER_INFO_KEY, server_info)
