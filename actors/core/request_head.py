"""What the head of an HTTP request may be: how large, which fields only once, and which not together."""

from collections.abc import Iterable
from typing import Final

import msgspec

MAX_TARGET_BYTES: Final = 8 * 1024
"""Of the path and the query; the longest URLs here are those of a login."""

MAX_FIELDS: Final = 100

MAX_FIELD_BYTES: Final = 32 * 1024
"""Of all names and values: a token of an identity provider may have several kilobytes, and nothing else is large."""

SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"last-event-id",
        b"mcp-protocol-version",
        b"mcp-session-id",
        b"transfer-encoding",
    }
)
"""Fields of which readers of the first and of the last copy would see different requests. `Host` and `Origin` are the
guard's."""

_PLAIN: Final = (b"", b"identity")


class BadHead(msgspec.Struct, frozen=True):
    """A head that is refused: the HTTP status, and the sentence for the client."""

    status: int
    reason: str


URI_TOO_LONG: Final = BadHead(414, f"the URL is over {MAX_TARGET_BYTES} bytes")
TOO_MANY_FIELDS: Final = BadHead(431, f"there are more than {MAX_FIELDS} header fields")
FIELDS_TOO_LARGE: Final = BadHead(431, f"the header fields are over {MAX_FIELD_BYTES} bytes")
REPEATED: Final = BadHead(400, "a header field that may be there once is repeated")
TWO_LENGTHS: Final = BadHead(400, "Content-Length and Transfer-Encoding exclude each other")
NO_LENGTH: Final = BadHead(400, "Content-Length is no number")
ENCODED: Final = BadHead(415, "bodies are taken as they are, without a Content-Encoding")


def fault_of(target_bytes: int, fields: Iterable[tuple[bytes, bytes]]) -> BadHead | None:
    """What is wrong with a head, or nothing; names in lower case. Rungs, in order:

    1. Its size: of the target, then of the fields.
    2. No field of `SINGLE` is repeated, and only one field says how long the body is (RFC 9112, 6.3).
    3. The body is not compressed: a small one could become a large one.
    """
    if target_bytes > MAX_TARGET_BYTES:
        return URI_TOO_LONG
    found = list(fields)
    if len(found) > MAX_FIELDS:
        return TOO_MANY_FIELDS
    if sum(len(name) + len(value) for name, value in found) > MAX_FIELD_BYTES:
        return FIELDS_TOO_LARGE
    single = [name for name, _ in found if name in SINGLE]
    if len(set(single)) < len(single):
        return REPEATED
    if not single:
        return None
    values = {name: value.strip() for name, value in found if name in SINGLE}
    length = values.get(b"content-length")
    if length is not None and b"transfer-encoding" in values:
        return TWO_LENGTHS
    if length is not None and not length.isdigit():
        return NO_LENGTH
    return None if values.get(b"content-encoding", b"").lower() in _PLAIN else ENCODED
