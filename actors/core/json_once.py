"""JSON objects in which nothing is said twice.

Of two members with one name readers take the first or the last as they see fit, so what somebody checked may not be
what somebody else believes (RFC 7515, section 4; RFC 7519, section 4).
"""

import json
from typing import Any


def decode_object(document: bytes) -> dict[str, Any] | None:
    """Decode a JSON object; nothing if it is malformed, too deep, not an object, or repeats a member at any depth.

    Numbers that JSON does not have, such as `NaN`, are malformed.
    """
    try:
        found = json.loads(document.decode(), object_pairs_hook=_once, parse_constant=_no_number)
        json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair is no text, and fails here
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is repeated")
    return found


def _no_number(name: str) -> float:
    raise ValueError("not a number of JSON")
