"""How deep JSON is nested. What is nested deeper than anybody means costs whoever decodes it a stack."""

import re
from itertools import accumulate
from typing import Final

MAX_DEPTH: Final = 128
"""Arrays and objects within each other in one message; schemas and arguments of real tools have a dozen."""

_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_REST: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def is_too_deep(body: bytes, limit: int = MAX_DEPTH) -> bool:
    """Whether arrays and objects are nested more than `limit` deep. Of what is no JSON this says anything."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return False  # nearly every message, and no brackets need to be followed
    brackets = _STRING.sub(b"", body).translate(None, _REST)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > limit
