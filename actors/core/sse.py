"""Server-sent events: bytes in, events out, and back (WHATWG HTML, section 9.2). No I/O.

Data stays bytes, because a JSON decoder wants bytes and judges their UTF-8 itself. Every byte is looked at a fixed
number of times however the stream is cut, so a peer that sends byte by byte costs no more than its bytes.
"""

from typing import Final

import msgspec

MESSAGE: Final = "message"
"""The type of an event that names none."""

RETRY_DIGITS: Final = 9
"""More digits of milliseconds than this are eleven days and no honest wish; such a `retry` is ignored."""

_BOM: Final = b"\xef\xbb\xbf"


class SseError(ValueError):
    """The stream cannot be read on: an event is over the size limit."""


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event."""

    data: bytes
    """Its data lines, joined by LF; empty if it had one empty `data` line."""
    event: str = MESSAGE
    id: str = ""
    """The last event id the stream has set, by this event or an earlier one; empty if none."""


class SseDecoder:
    """Takes the bytes of one stream in any chunks; an event that the end of the stream cut off is never given out.

    `max_event_bytes` limits the lines of one event together, field names included, and any single comment.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self.last_event_id = ""
        """What `Last-Event-ID` should say on a new connection; an event without data sets it too."""
        self.retry_seconds: float | None = None
        """How long the server wants a client to wait before it connects again, if it said."""
        self._limit = max_event_bytes
        self._head: bytes | None = b""
        self._line = bytearray()
        self._after_cr = False
        self._data: list[bytes] = []
        self._event = ""
        self._id = ""
        self._size = 0

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Take the next bytes and return the events they complete.

        Raises:
            SseError: an event is too large. Events completed by the same bytes are lost with it, and the decoder is
                of no more use.
        """
        if self._head is not None:
            chunk = self._without_bom(self._head + chunk)
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if not end:
            self._keep(chunk)
            return []
        self._after_cr = chunk.endswith(b"\r")
        lines = chunk[:end].splitlines()  # of bytes: at CR, LF and CRLF only
        if self._line:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        events = self._read(lines)
        self._keep(chunk[end:])
        return events

    def _without_bom(self, head: bytes) -> bytes:
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._head = head
            return b""
        self._head = None
        return head.removeprefix(_BOM)

    def _keep(self, rest: bytes) -> None:
        self._line += rest
        if rest and self._size + len(self._line) > self._limit:
            raise SseError(f"an event is over {self._limit} bytes")

    def _read(self, lines: list[bytes]) -> list[SseEvent]:
        events: list[SseEvent] = []
        for line in lines:
            if not line:
                self._dispatch(events)
                continue
            if self._size + len(line) > self._limit:
                raise SseError(f"an event is over {self._limit} bytes")
            if line.startswith(b":"):
                continue
            self._size += len(line) + 1
            if line.startswith(b"data: "):
                self._data.append(line[6:])
            else:
                self._field(line)
        return events

    def _dispatch(self, events: list[SseEvent]) -> None:
        self.last_event_id = self._id
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append(SseEvent(data, self._event or MESSAGE, self._id))
            self._data.clear()
        self._event = ""
        self._size = 0

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data.append(value)
            case b"event":
                self._event = value.decode(errors="replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode(errors="replace")
            case b"retry" if value.isdigit() and len(value) <= RETRY_DIGITS:
                self.retry_seconds = int(value) / 1000
            case _:
                pass  # unknown fields are ignored


def event(data: bytes, event: str | None = None, event_id: str | None = None) -> bytes:
    """Encode one event. Data comes back from a decoder as it was, but that a CR or CRLF in it comes back as LF.

    Raises:
        ValueError: the type or the id has a line break, or the id a NUL, which would make other fields of it.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    head = b""
    if event is not None:
        head = b"event: %b\n" % _one_line(event)
    if event_id is not None:
        if "\0" in event_id:
            raise ValueError("an event id may not have a NUL")
        head += b"id: %b\n" % _one_line(event_id)
    return b"%bdata: %b\n\n" % (head, data)


def comment(text: str = "") -> bytes:
    """Encode a comment, which every reader ignores: a sign of life.

    Raises:
        ValueError: the text has a line break.
    """
    return b":%b\n\n" % _one_line(text)


def _one_line(text: str) -> bytes:
    if "\n" in text or "\r" in text:
        raise ValueError("a field may not have a line break")
    return text.encode()
