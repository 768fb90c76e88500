"""Whose is a message of a server that came with no hint at the call it belongs to?

It may only go to a call if no other caller could have been meant: an answer of the wrong caller would be worse than no
answer.
"""

from collections.abc import Iterable
from typing import Final

from actors.core.call import Call
from actors.core.principal import ANONYMOUS

AMBIGUOUS: Final = (
    "this came with no hint at the call it belongs to, and several callers share this conversation:"
    " set `isolation` of this backend to `session` or `principal`"
)
NO_CALL: Final = "no call is under way that this could belong to"


def owner(call: Call) -> bytes | None:
    """Who made a call: the downstream session, else the principal; nothing if that could be anybody."""
    if call.session:
        return b"s" + call.session
    if call.principal in ("", ANONYMOUS.key):
        return None
    return b"p" + call.principal.encode()


def have_one_owner(calls: Iterable[Call]) -> bool:
    """Whether there are calls, and all of them are one caller's. A call of nobody in particular must be the only one.

    A session and its principal count as two: the one may be another client than the other.
    """
    remaining = iter(calls)
    first = next(remaining, None)
    if first is None:
        return False
    expected = owner(first)
    return all(expected is not None and owner(call) == expected for call in remaining)
