"""What a client must have declared to be asked something, and whether it has.

Both eras have the same form, `{"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}}`, where
an empty `elicitation` means the form (2025-11-25 and 2026-07-28, client/elicitation, Capabilities).
"""

from collections.abc import Set

import msgspec

from actors.core import jsonrpc
from actors.core.ask import ASKABLE
from actors.core.elicitation import mode
from actors.core.jsonrpc import Object
from actors.core.sampling import wants_tools


def required(method: str, params: bytes) -> dict[str, dict[str, dict[str, object]]]:
    """The capabilities that a client must have declared to be asked this: `data.requiredCapabilities` of error -32021.

    `method` is one of `ask.ASKABLE`; `params` is a JSON object, or taken for an empty one.
    """
    try:
        members = jsonrpc.decode_object(params)
    except msgspec.DecodeError:
        members = {}
    match method:
        case "elicitation/create":
            return {"elicitation": {mode(members)[:64]: {}}}
        case "sampling/createMessage":
            return {"sampling": {"tools": {}} if wants_tools(members) else {}}
        case _:
            return {"roots": {}}


def supports(capabilities: bytes, method: str, params: bytes) -> bool:
    """Whether a client that declared `capabilities`, a JSON object, can be asked this.

    `sampling` without `context` does not forbid `includeContext`: the client may ignore it, and is only not promised
    to be spared it.
    """
    if method not in ASKABLE:
        return False
    try:
        declared = jsonrpc.decode_object(capabilities)
        return all(_declares(declared, name, aspects.keys()) for name, aspects in required(method, params).items())
    except msgspec.DecodeError:
        return False


def _declares(declared: Object, name: str, aspects: Set[str]) -> bool:
    told = declared.get(name)
    if told is None or not jsonrpc.is_object(told):
        return False
    known = {aspect for aspect, said in jsonrpc.decode_object(told).items() if jsonrpc.is_object(said)}
    if name == "elicitation" and "url" not in known:
        known.add("form")
    return aspects <= known
