"""A tool of a list in the form of the client's revision.

What differs:

- `outputSchema` whose root is not `"type": "object"` is left out before 2026-07-28. It may be nothing else there, and a
  strict client refuses the whole list.
- `true` or `false` as the schema of a property becomes `{}` or `{"not": {}}`, which mean the same, before 2026-07-28.
  It must be an object there, likewise.
- `execution.taskSupport` of a handshake server is left out from 2026-07-28. Tasks are another protocol there, and a
  client would ask for what cannot be had.

Titles, icons and annotations, and an `outputSchema` before 2025-06-18, are ignored by clients that do not know them and
stay. So do `execution` for handshake clients, who must not use it without the server capability `tasks`, and all of
prompts, resources and templates.

Source: the schema of each revision, `Tool`.
"""

from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.blocks import mentions
from actors.core.revisions import MODERN_REVISIONS, Era

ANY_SCHEMA_SINCE: Final = MODERN_REVISIONS[0]
TASKS_APART_SINCE: Final = MODERN_REVISIONS[0]

_AS_OBJECT: Final = {b"true": b"{}", b"false": b'{"not":{}}'}


def tool_for(revision: str, body: bytes, told_in: Era) -> bytes:
    """A tool, a JSON object that a server of the era `told_in` wrote, for a client of `revision`.

    `body` itself if nothing must change, or if it is not of the form of a tool.
    """
    try:
        if revision < ANY_SCHEMA_SINCE:
            return _with_object_schemas(body)
        return _without_task_support(body) if told_in is Era.HANDSHAKE else body
    except msgspec.DecodeError:
        return body


def _with_object_schemas(body: bytes) -> bytes:
    members = jsonrpc.decode_object(body)
    told = dict(members)
    for key in ("inputSchema", "outputSchema"):
        if key in told:
            told[key] = _with_object_properties(told[key])
    if "outputSchema" in told and not _has_object_root(told["outputSchema"]):
        del told["outputSchema"]
    return body if told == members else jsonrpc.encode(told)


def _has_object_root(schema: msgspec.Raw) -> bool:
    return jsonrpc.is_object(schema) and jsonrpc.text(jsonrpc.decode_object(schema).get("type")) == "object"


def _with_object_properties(schema: msgspec.Raw) -> msgspec.Raw:
    if not jsonrpc.is_object(schema):
        return schema
    members = jsonrpc.decode_object(schema)
    properties = members.get("properties")
    if properties is None or not jsonrpc.is_object(properties):
        return schema
    before = jsonrpc.decode_object(properties)
    told = {name: _as_object(each) for name, each in before.items()}
    return schema if told == before else jsonrpc.raw({**members, "properties": jsonrpc.raw(told)})


def _as_object(schema: msgspec.Raw) -> msgspec.Raw:
    told = _AS_OBJECT.get(bytes(schema))
    return schema if told is None else msgspec.Raw(told)


def _without_task_support(body: bytes) -> bytes:
    if not mentions(body, "taskSupport"):
        return body
    members = jsonrpc.decode_object(body)
    execution = jsonrpc.decode_object(members.get("execution", b""))
    if execution.pop("taskSupport", None) is None:
        return body
    if execution:
        return jsonrpc.encode({**members, "execution": jsonrpc.raw(execution)})
    del members["execution"]
    return jsonrpc.encode(members)
