"""A server's answer in the form of the client's era. Within one era it passes untouched."""

from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.identity import GATEWAY_INFO
from actors.core.jsonrpc import Object
from actors.core.outcome import Reply
from actors.core.revisions import Era

RESULT_TYPE: Final = "resultType"
COMPLETE: Final = b'"complete"'

CACHE_HINTS: Final = {"ttlMs": b"0", "cacheScope": b'"private"'}
"""What is always safe to say of a result whose server gave no hint (2026-07-28, server/utilities/caching)."""

CACHEABLE: Final = frozenset({"resources/read"})
"""Routed methods whose complete result must carry cache hints; the lists and discovery are ours to render."""

_SERVER_INFO_MEMBER: Final = b'{"%b":%b}' % (jsonrpc.SERVER_INFO_KEY.encode(), jsonrpc.encode(GATEWAY_INFO))


def result_for(era: Era, method: str, reply: Reply) -> bytes | None:
    """The `result` member for a client of `era`; nothing if the answer has no form there.

    A modern server's question to a handshake client is such an answer.
    """
    if era is Era.MODERN:
        return _modern_result(method, reply)
    if reply.era is Era.MODERN:
        return _legacy_result(reply.body)
    return reply.body


def error_for(era: Era, method: str, reply: Reply) -> tuple[int, bytes]:
    """The code and the `error` member for a client of `era`."""
    try:
        error = jsonrpc.decode_error(reply.body)
    except msgspec.DecodeError:
        message = "the server's error is not a JSON-RPC error"
        return jsonrpc.INTERNAL_ERROR, jsonrpc.error(jsonrpc.INTERNAL_ERROR, message)
    code = error.code
    if era is Era.MODERN and code == jsonrpc.RESOURCE_NOT_FOUND:
        code = jsonrpc.INVALID_PARAMS
    elif era is Era.HANDSHAKE and reply.era is Era.MODERN and method == "resources/read":
        code = jsonrpc.RESOURCE_NOT_FOUND if code == jsonrpc.INVALID_PARAMS else code
    if code == error.code:
        return code, reply.body
    members = jsonrpc.decode_object(reply.body)
    return code, jsonrpc.encode({**members, "code": jsonrpc.raw(code)})


def complete(members: Object) -> bytes:
    """A complete modern result of our own, with the hints and the serverInfo that it owes."""
    return jsonrpc.encode(
        {
            RESULT_TYPE: msgspec.Raw(COMPLETE),
            **members,
            **{key: msgspec.Raw(value) for key, value in CACHE_HINTS.items() if key not in members},
            "_meta": msgspec.Raw(_SERVER_INFO_MEMBER),
        }
    )


def _modern_result(method: str, reply: Reply) -> bytes:
    body = reply.body
    if reply.era is Era.MODERN and b'"resultType"' in body:
        return body
    # what looks like the member may stand deeper inside: only then is the object taken apart
    present = jsonrpc.decode_object(body) if _mentions(body) else {}
    if method in CACHEABLE:
        for key, value in CACHE_HINTS.items():
            if key not in present:
                body = jsonrpc.with_member(body, key, value)
    if "_meta" not in present:
        body = jsonrpc.with_member(body, "_meta", _SERVER_INFO_MEMBER)
    if RESULT_TYPE not in present:
        body = jsonrpc.with_member(body, RESULT_TYPE, COMPLETE)
    return body


def _mentions(body: bytes) -> bool:
    return any(key in body for key in (b'"resultType"', b'"ttlMs"', b'"cacheScope"', b'"_meta"'))


def _legacy_result(body: bytes) -> bytes | None:
    members = jsonrpc.decode_object(body)
    if bytes(members.pop(RESULT_TYPE, COMPLETE)) != COMPLETE:
        return None
    for key in CACHE_HINTS:
        members.pop(key, None)
    return jsonrpc.encode(members)
