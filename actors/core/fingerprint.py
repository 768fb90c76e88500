"""What of a client's capabilities matters to a server: which questions it may ask through us.

Two clients with the same fingerprint may share a conversation, so vendor noise and the order of members make no other.
"""

from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.call import NO_CAPABILITIES
from actors.core.jsonrpc import Object

ASPECTS: Final = {"elicitation": ("form", "url"), "sampling": ("tools", "context"), "roots": ()}
"""The capabilities that `ask.ASKABLE` needs, in the order of the fingerprint. `roots.listChanged` is not among their
aspects: that notification is not carried to servers."""


def fingerprint(capabilities: bytes) -> bytes:
    """The capabilities, a JSON object, in one form for all that mean the same; a server can be told it as it stands.

    An `elicitation` that does not say how means the form (2025-11-25 and 2026-07-28, client/elicitation, Capabilities).
    What is no JSON object is taken for an empty one.
    """
    if capabilities == NO_CAPABILITIES:
        return NO_CAPABILITIES
    try:
        declared = jsonrpc.decode_object(capabilities)
        told = {name: _aspects(name, declared[name]) for name in ASPECTS if _is_object(declared, name)}
    except msgspec.DecodeError:
        return NO_CAPABILITIES
    return jsonrpc.encode(told)


def _aspects(name: str, capability: msgspec.Raw) -> dict[str, dict[str, object]]:
    said = jsonrpc.decode_object(capability)
    known = [aspect for aspect in ASPECTS[name] if _is_object(said, aspect)]
    if name == "elicitation" and "url" not in known:
        known = ["form"]
    return {aspect: {} for aspect in known}


def _is_object(members: Object, key: str) -> bool:
    return key in members and jsonrpc.is_object(members[key])
