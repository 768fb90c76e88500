"""What of a client's capabilities matters to a gateway, small enough to stand in a session id.

Both eras declare them in one form (2025-11-25 and 2026-07-28, basic and client/*, Capabilities). An `elicitation` that
names neither mode means the form. What is not known here, or malformed, is left out.
"""

from enum import IntFlag
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.jsonrpc import Object


class Capability(IntFlag):
    """One thing that a client can be asked, or will tell. The values are part of the form of session ids."""

    ELICITATION_FORM = 1
    ELICITATION_URL = 2
    SAMPLING = 4
    SAMPLING_TOOLS = 8
    SAMPLING_CONTEXT = 16
    ROOTS = 32
    ROOTS_LIST_CHANGED = 64


ALL: Final = Capability(127)


def condense(capabilities: bytes) -> Capability:
    """What a declaration, a JSON object, comes to; anything else declares nothing."""
    declared = _members(capabilities)
    found = Capability(0)
    if "elicitation" in declared:
        modes = _members(declared["elicitation"])
        if "url" in modes:
            found |= Capability.ELICITATION_URL
        if "form" in modes or "url" not in modes:
            found |= Capability.ELICITATION_FORM
    if "sampling" in declared:
        aspects = _members(declared["sampling"])
        found |= Capability.SAMPLING
        if "tools" in aspects:
            found |= Capability.SAMPLING_TOOLS
        if "context" in aspects:
            found |= Capability.SAMPLING_CONTEXT
    if "roots" in declared:
        found |= Capability.ROOTS
        if bytes(_decoded(declared["roots"]).get("listChanged", b"")) == b"true":
            found |= Capability.ROOTS_LIST_CHANGED
    return found


def expand(capabilities: Capability) -> bytes:
    """The declaration that `condense` makes these of: always the same bytes for the same capabilities."""
    return _DECLARATIONS[capabilities]


def _members(data: bytes | msgspec.Raw) -> Object:
    """The members that are objects themselves, as every capability is."""
    return {name: value for name, value in _decoded(data).items() if jsonrpc.is_object(value)}


def _decoded(data: bytes | msgspec.Raw) -> Object:
    try:
        return jsonrpc.decode_object(data)
    except msgspec.DecodeError:
        return {}


def _declaration(capabilities: Capability) -> bytes:
    empty: dict[str, object] = {}
    declared: dict[str, object] = {}
    elicitation = {
        name: empty
        for name, mode in (("form", Capability.ELICITATION_FORM), ("url", Capability.ELICITATION_URL))
        if mode in capabilities
    }
    if elicitation:
        declared["elicitation"] = elicitation
    if Capability.SAMPLING in capabilities:
        declared["sampling"] = {
            name: empty
            for name, aspect in (("tools", Capability.SAMPLING_TOOLS), ("context", Capability.SAMPLING_CONTEXT))
            if aspect in capabilities
        }
    if Capability.ROOTS in capabilities:
        declared["roots"] = {"listChanged": True} if Capability.ROOTS_LIST_CHANGED in capabilities else empty
    return jsonrpc.encode(declared)


_DECLARATIONS: Final = tuple(_declaration(Capability(number)) for number in range(ALL + 1))
