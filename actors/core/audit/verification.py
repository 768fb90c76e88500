"""Whether a log is as it was written.

Found are: any change of any line, lines that are missing, added or moved anywhere, files that are missing at the
beginning although they are to be kept, and lines missing at the end as far as the head tells. Not found is what is
done by who has the key, and a whole log with its head put back to an earlier state.
"""

from collections.abc import Iterable

import msgspec

from actors.core.audit.chain import GENESIS, Line, Place, hash_of, is_genuine, read_line
from actors.core.audit.event import Kind


class Verified(msgspec.Struct, frozen=True):
    """Nothing is wrong with it."""

    lines: int
    first: int
    """The number, in the chain, of its first line; 0 if there is none."""
    last: int
    losses: int = 0
    """Events that the log itself says it has not got."""
    torn: int = 0
    """Lines that a writer left unfinished when it died; what there was of them is in the log."""
    unfinished: bool = False
    """It ends in the middle of a line: it is being written, or the writer died, and nobody went on."""


class Broken(msgspec.Struct, frozen=True):
    """Somebody else than the writer had a hand in it."""

    line: int
    """Where it shows, of all lines that were given, from 1; 0 if it is no line."""
    why: str
    """Goes on after "line N"."""


class _Known(msgspec.Struct):
    kind: str = ""
    count: int = 0
    oldest: int = 0


def verify(lines: Iterable[bytes], key: bytes | None, head: Place | None = None) -> Verified | Broken:
    """Read a chain from its first line to its last. Lines end with a line break; all but the last must.

    `key` is `Keys.lines`: without it, lines that somebody wrote anew to the very end are not found. `head` is as it
    was read before the lines were.
    """
    reading = _Reading(key, head)
    number = 0
    for number, line in enumerate(lines, 1):
        if reading.unfinished:
            return Broken(number - 1, "ends in the middle")
        why = reading.next(line)
        if why:
            return Broken(number, why)
    why = reading.end()
    return Broken(0, why) if why else reading.verified


class _Reading:
    def __init__(self, key: bytes | None, head: Place | None) -> None:
        self._key = key
        self._head = head
        self._place: Place | None = None
        self._first = 0
        self._lines = 0
        self._oldest = 0
        self._losses = 0
        self._torn = 0
        self.unfinished = False

    @property
    def verified(self) -> Verified:
        last = self._place.seq if self._place else 0
        return Verified(self._lines, self._first, last, self._losses, self._torn, self.unfinished)

    def next(self, written: bytes) -> str:
        """What is wrong with the next line. Rungs, in order; the first that fails decides."""
        if not written.endswith(b"\n"):
            self.unfinished = True
            return ""
        content = written[:-1]
        if self._key is not None and not is_genuine(self._key, content):
            return "is not as it was written"
        try:
            line = read_line(content)
            event = msgspec.json.decode(line.event, type=_Known)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return "is not a line of the log"
        why = self._misplaced(line, event)
        if why:
            return why
        self._place = Place(line.seq, hash_of(content))
        self._lines += 1
        if self._head is not None and line.seq == self._head.seq and self._head.last != self._place.last:
            return "is not the one that the head names"
        self._note(event)
        return ""

    def end(self) -> str:
        """What is wrong with all of it."""
        last = self._place.seq if self._place else 0
        if self._oldest and self._first > self._oldest:
            return f"lines {self._oldest} to {self._first - 1} of the log are missing: they were to be kept"
        if self._head is not None and self._head.seq > last:
            return f"lines {last + 1} to {self._head.seq} of the log are missing at its end"
        return ""

    def _misplaced(self, line: Line, event: _Known) -> str:
        if self._place is None:
            self._first = line.seq
            begins = event.kind == Kind.FILE and (line.seq > 1 or (line.seq == 1 and line.prev == GENESIS))
            return "" if begins else "does not begin a file: lines before it are missing"
        expected = self._place.seq + 1
        if line.seq > expected:
            return f"follows a gap: lines {expected} to {line.seq - 1} of the log are missing"
        if line.seq < expected:
            return f"is out of order: it is line {line.seq} of the log, and {expected} was to come"
        return "" if line.prev == self._place.last else "does not follow the line before it"

    def _note(self, event: _Known) -> None:
        if event.kind == Kind.FILE:
            self._oldest = event.oldest
        elif event.kind == Kind.LOSS:
            self._losses += event.count
        elif event.kind == Kind.TORN:
            self._torn += 1
