"""What a tool says of itself, as far as permissions look at it.

Annotations are hints: a server says of its own tools what it likes. A permission that trusts them trusts the server.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.permission_settings import ANNOTATIONS

_ANNOTATIONS: Final = b"annotations"

DEFAULTS: Final[Mapping[str, bool]] = {
    "readOnlyHint": False,
    "destructiveHint": True,
    "idempotentHint": False,
    "openWorldHint": True,
}
"""Of a tool that does not say (2025-11-25, schema, `ToolAnnotations`)."""

_READ_ONLY: Final[Mapping[str, bool]] = {**DEFAULTS, "destructiveHint": False, "idempotentHint": True}
"""Of a tool that only reads: the schema gives these two a meaning for the others only."""


def annotations_of(tool: bytes) -> Mapping[str, bool]:
    """The hints in a tool, a JSON object as its server wrote it; one that is not true or false was not given."""
    if _ANNOTATIONS not in tool:
        return {}
    try:
        given = jsonrpc.value(jsonrpc.decode_object(tool).get("annotations"))
    except (msgspec.DecodeError, RecursionError):
        return {}
    if not isinstance(given, dict):
        return {}
    return {name: given[name] for name in ANNOTATIONS if isinstance(given.get(name), bool)}


def hint(given: Mapping[str, bool], name: str) -> bool:
    """The hint of this name: what is given, else its default."""
    defaults = _READ_ONLY if given.get("readOnlyHint") is True else DEFAULTS
    return given.get(name, defaults[name])
