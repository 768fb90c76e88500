"""How careful one must be with a request that may have run already, by its method and what a tool says of itself."""

from enum import StrEnum
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.listing import LIST_METHODS

READING_METHODS: Final = frozenset({"resources/read", "prompts/get", "completion/complete", "ping", *LIST_METHODS})
"""They change nothing by their nature."""

_ANNOTATIONS: Final = b"annotations"


class Care(StrEnum):
    """What a second run does."""

    READS = "reads"
    """No run changes anything."""
    REPEATABLE = "repeatable"
    """A second run with the same arguments changes nothing more."""
    ONCE = "once"
    """Nobody knows: it must not happen."""


def care_of(tool: bytes) -> Care:
    """What the annotations of a tool say, `readOnlyHint` and `idempotentHint` (2025-11-25, server/tools); the tool is a
    JSON object as its server wrote it."""
    if _ANNOTATIONS not in tool:
        return Care.ONCE
    try:
        hints = jsonrpc.value(jsonrpc.decode_object(tool).get("annotations"))
    except msgspec.DecodeError:
        return Care.ONCE
    if not isinstance(hints, dict):
        return Care.ONCE
    if hints.get("readOnlyHint") is True:
        return Care.READS
    return Care.REPEATABLE if hints.get("idempotentHint") is True else Care.ONCE
