"""Content blocks in the form of older revisions: a block that the reader does not know becomes a text that tells of it.

Text, image and embedded resource are in every revision. Unknown members are ignored by every reader, so a block whose
type is known passes as it is. Revisions are dates, and compared as such.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from actors.core import jsonrpc
from actors.core.jsonrpc import Object


class _Newer(NamedTuple):
    since: str
    told: Callable[[Object], str]


def _audio(members: Object) -> str:
    data = jsonrpc.text(members.get("data")) or ""
    size = len(data) * 3 // 4 - data[-2:].count("=")
    return f"[audio, {jsonrpc.text(members.get('mimeType')) or 'of unknown type'}, {size} bytes]"


def _resource_link(members: Object) -> str:
    name, title, uri, kind, description = (
        jsonrpc.text(members.get(key)) for key in ("name", "title", "uri", "mimeType", "description")
    )
    link = f"{title or name or 'resource'}: {uri or 'without a URI'}" + (f" ({kind})" if kind else "")
    return f"{link}\n{description}" if description else link


NEWER: Final = {"audio": _Newer("2025-03-26", _audio), "resource_link": _Newer("2025-06-18", _resource_link)}
"""The types of blocks that came after the first revision: since when, and what an older reader is told instead."""

_KEPT: Final = ("annotations", "_meta")
"""Members of any block, which mean the same on a text."""


def mentions(body: bytes, word: str) -> bool:
    """Whether JSON may have the string `word`, a plain one; a no is certain. Escapes can spell anything."""
    return b'"%b"' % word.encode() in body or b"\\u" in body


def may_have_newer(revision: str, body: bytes) -> bool:
    """Whether a message may hold a block that `revision` does not have; a no is certain."""
    return any(revision < newer.since and mentions(body, kind) for kind, newer in NEWER.items())


def text_block(text: str, kept: Object | None = None) -> msgspec.Raw:
    """A block of text, with further raw members."""
    return jsonrpc.raw({"type": "text", "text": text, **(kept or {})})


def block_for(revision: str, block: msgspec.Raw) -> msgspec.Raw:
    """A block for a reader of `revision`: the same object, or a text in its place."""
    try:
        members = jsonrpc.decode_object(block)
    except msgspec.DecodeError:
        return block
    newer = NEWER.get(jsonrpc.text(members.get("type")) or "")
    if newer is None or revision >= newer.since:
        return block
    return text_block(newer.told(members), {key: members[key] for key in _KEPT if key in members})
