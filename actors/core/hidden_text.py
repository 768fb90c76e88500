"""Characters that people do not see and models read: with them a description says one thing to each.

What is found: controls, ANSI escapes, bidirectional controls, characters without width, the tags block (which spells
ASCII invisibly), variation selectors beyond those of emoji, and private use. The joiners within words of scripts that
need them, and within emoji, are not: they stand between characters that are not ASCII.

Source: Unicode 16, 23.2 to 23.9; UTR 36, 3.6; ECMA-48, 5.4.
"""

import re
from enum import StrEnum
from typing import Any, Final

import msgspec


class HiddenText(StrEnum):
    """What becomes of it in what clients are shown."""

    FLAG = "flag"
    """It is shown as it is, and told to the owner."""
    STRIP = "strip"
    """It is taken out of titles and descriptions. An entry that has it elsewhere is not offered: clients repeat names
    and values as they are."""
    REFUSE = "refuse"
    """An entry that has any is not offered."""


class Trick(StrEnum):
    """A sort of hidden text."""

    ANSI = "ansi"
    CONTROL = "control"
    BIDI = "bidi"
    ZERO_WIDTH = "zero_width"
    TAGS = "tags"
    VARIATION = "variation"
    PRIVATE_USE = "private_use"


_PATTERNS: Final = {
    Trick.ANSI: r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -~])?|\x9b[0-?]*[ -/]*[@-~]",
    Trick.CONTROL: r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]",
    Trick.BIDI: r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]",
    Trick.ZERO_WIDTH: r"[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\u3164"
    r"\ufeff\uffa0\ufff0-\ufffb]|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])",
    Trick.TAGS: r"[\U000e0000-\U000e007f]",
    Trick.VARIATION: r"[\U000e0100-\U000e01ef]",
    Trick.PRIVATE_USE: r"[\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]",
}
_HIDDEN: Final = re.compile("|".join(f"(?P<{trick}>{pattern})" for trick, pattern in _PATTERNS.items()))

_SUSPICIOUS: Final = re.compile(rb"[^\t\n\r -~]|\\[ubf]")
"""JSON without any of this says nothing hidden."""

_PROSE: Final = frozenset({"title", "description"})
"""Members which are for reading only."""


def tricks_in(text: str) -> frozenset[Trick]:
    """Which sorts a text has."""
    return frozenset(Trick(str(match.lastgroup)) for match in _HIDDEN.finditer(text))


def stripped(text: str) -> str:
    """The text without any. Until nothing is left: what is taken out may leave a joiner alone."""
    while (shorter := _HIDDEN.sub("", text)) != text:
        text = shorter
    return text


def tricks_of(body: bytes) -> frozenset[Trick]:
    """Which sorts a JSON value has in any text of it, the names of its members included.

    What cannot be decoded has none that a client could decode.
    """
    if not _SUSPICIOUS.search(body):
        return frozenset()
    try:
        return _tricks(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError):
        return frozenset()


def stripped_body(body: bytes) -> bytes:
    """A JSON value without hidden text in its titles and descriptions, and those of all that is in it."""
    return msgspec.json.encode(_stripped(msgspec.json.decode(body))) if tricks_of(body) else body


def _tricks(value: Any) -> frozenset[Trick]:
    if isinstance(value, str):
        return tricks_in(value)
    if isinstance(value, list):
        return frozenset().union(*map(_tricks, value))
    if isinstance(value, dict):
        return frozenset().union(*map(tricks_in, value), *map(_tricks, value.values()))
    return frozenset()


def _stripped(value: Any) -> Any:
    if isinstance(value, list):
        return [_stripped(each) for each in value]
    if isinstance(value, dict):
        return {
            key: stripped(each) if key in _PROSE and isinstance(each, str) else _stripped(each)
            for key, each in value.items()
        }
    return value
