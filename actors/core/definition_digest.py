"""What of a tool's definition its owner agreed to, as a digest: another one means that the tool is not the same."""

import hashlib
from typing import Final

import msgspec

DEFINING: Final = ("name", "title", "description", "inputSchema", "outputSchema", "annotations", "execution")
"""What tells a model when to use a tool and how; icons and `_meta` do not."""


def definition_digest(body: bytes) -> bytes:
    """32 bytes which depend on nothing else than these members; the order of members does not matter.

    `body` is the JSON object of the tool; what is none is its own definition.
    """
    try:
        members = msgspec.json.decode(body, type=dict[str, object])
        defined = {key: members[key] for key in DEFINING if key in members}
        text = msgspec.json.encode(defined, order="sorted")
    except (msgspec.DecodeError, RecursionError):
        text = body
    return hashlib.sha256(text).digest()
