"""Bytes in, lines out: the framing of stdio servers, without any I/O.

A line over the limit costs no more memory than its first and last 512 bytes, and is reported, so that the call which
it answered can be failed instead of waiting for its time to run out.
"""

import re
from dataclasses import dataclass
from typing import Final

EDGE_BYTES: Final = 512
"""What is kept of either end of an overlong line: an id stands at one end of a message, with room for white space."""


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line over the limit, of which only the ends were kept; of a line short enough they overlap."""

    head: bytes
    """Its first `EDGE_BYTES` bytes."""
    tail: bytes
    """Its last `EDGE_BYTES` bytes."""


Line = bytes | Overlong
"""A line without its newline."""


class LineSplitter:
    """Cuts a stream of bytes at its newlines, in linear time and in memory bounded by the limit and one chunk."""

    def __init__(self, max_line_bytes: int) -> None:
        self._limit = max_line_bytes
        self._partial = bytearray()
        self._head: bytes | None = None
        self._tail = b""

    def feed(self, data: bytes) -> list[Line]:
        """Take the next chunk; return the lines it completed, in order."""
        first, *others = data.split(b"\n")
        if not others:
            self._extend(first)
            return []
        *whole, last = others
        lines: list[Line] = [self._complete(first)]
        lines.extend(line if len(line) <= self._limit else _overlong(line) for line in whole)
        self._extend(last)
        return lines

    def finish(self) -> list[Line]:
        """The stream ended; return what stood after the last newline, if anything did."""
        return [self._complete(b"")] if self._partial or self._head is not None else []

    def _complete(self, data: bytes) -> Line:
        if not self._partial and self._head is None and len(data) <= self._limit:
            return data
        self._extend(data)
        head, self._head = self._head, None
        if head is not None:
            return Overlong(head, self._tail)
        line = bytes(self._partial)
        self._partial = bytearray()
        return line

    def _extend(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data[: EDGE_BYTES - len(self._head)]
            self._tail = (self._tail + data[-EDGE_BYTES:])[-EDGE_BYTES:]
            return
        self._partial += data
        if len(self._partial) > self._limit:
            self._head, self._tail = bytes(self._partial[:EDGE_BYTES]), bytes(self._partial[-EDGE_BYTES:])
            self._partial = bytearray()


def _overlong(line: bytes) -> Overlong:
    return Overlong(line[:EDGE_BYTES], line[-EDGE_BYTES:])


_OPENING: Final = rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?'
_NUMBER: Final = rb"(0|[1-9][0-9]{0,17})"
_OUTCOME_KEY: Final = rb'"(?:result|error)"\s*:'
_ID_FIRST: Final = re.compile(_OPENING + rb'"id"\s*:\s*' + _NUMBER + rb"\s*,\s*" + _OUTCOME_KEY)
_OUTCOME_FIRST: Final = re.compile(_OPENING + _OUTCOME_KEY)
_ID_LAST: Final = re.compile(
    rb',\s*"id"\s*:\s*' + _NUMBER + rb'\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z',
)


def answered_id(line: Overlong) -> int | None:
    """The id of the request which an overlong JSON-RPC response answers, or nothing unless that is certain.

    Both patterns are anchored at an end of the line, where no member of a nested object can stand; and both want
    `result` or `error` as the first member beside it, because a request of the server counts ids of its own.
    """
    found = _ID_FIRST.match(line.head)
    if found is None and _OUTCOME_FIRST.match(line.head):
        found = _ID_LAST.search(line.tail)
    return int(found[1]) if found else None
