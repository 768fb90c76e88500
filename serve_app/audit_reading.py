"""Reads a log of the audit: all of it for a proof, or the events that somebody looks for."""

import fnmatch
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from actors.audit_folder import AuditError, all_files, head_path, lines_of, read_key
from actors.core.audit.chain import Place, read_line
from actors.core.audit.event import Event
from actors.core.audit.head import read_head
from actors.core.audit.keys import derived
from actors.core.audit.verification import Broken, Verified, verify

ATTEMPTS: Final = 5
"""A gateway that runs may begin another file while they are read; so often in a row it does not."""

LOOK_SECONDS: Final = 0.25
"""Between two looks at a log that is followed."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_event_decoder: Final = msgspec.json.Decoder(Event)


@dataclass(frozen=True, slots=True)
class Sought:
    """Which events are wanted; what is not said is of no matter. Texts are globs."""

    principal: str | None = None
    """The subject, or the client."""
    server: str | None = None
    kind: str | None = None
    since: datetime | None = None

    def includes(self, event: Event) -> bool:
        """Whether it is one of them."""
        if self.kind is not None and event.kind.value != self.kind:
            return False
        if self.since is not None and event.time < self.since:
            return False
        if self.server is not None and not fnmatch.fnmatchcase(event.server, self.server):
            return False
        wanted = self.principal
        return wanted is None or any(fnmatch.fnmatchcase(name, wanted) for name in (event.by.subject, event.by.client))


@dataclass(frozen=True, slots=True)
class Proof:
    """What a look at all files came to."""

    files: int
    found: Verified | Broken
    place: str = ""
    """The file and line where it is broken, if it is a line."""


def moment(text: str, now: datetime) -> datetime:
    """The time that somebody means: `30m`, `12h` or `7d` ago, or a date, which is in UTC if it names no zone.

    Raises:
        ValueError: it is neither.
    """
    if text[-1:] in _UNITS and text[:-1].isdigit():
        return now - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    named = datetime.fromisoformat(text)
    return named if named.tzinfo is not None else named.replace(tzinfo=UTC)


def proof(file: Path, *, with_key: bool = True) -> Proof:
    """Read all files of a log from the first line to the last.

    Without the key anybody is believed who wrote the log anew, see `core.audit.verification`.

    Raises:
        AuditError: there is no log, or no key to it.
        OSError: a file cannot be read.
    """
    key = derived(read_key(file)).lines if with_key else None
    for _ in range(ATTEMPTS):
        head = _head(file, key)
        files = all_files(file)
        if not files and head is None:
            raise AuditError(f"there is no audit at {file}")
        reader = _Reader(files)
        try:
            found = verify(reader.lines(), key, head)
        except FileNotFoundError:
            continue
        if files == all_files(file):
            where = reader.place(found.line) if isinstance(found, Broken) and found.line else ""
            return Proof(len(files), _without_head(found, head), where)
    raise AuditError(f"the files of {file} change faster than they can be read")


def events(file: Path, sought: Sought) -> Iterator[tuple[bytes, Event]]:
    """The lines, without their line breaks, and events that are wanted, in order; what cannot be read is left out.

    Raises:
        OSError: a file cannot be read.
    """
    for path in all_files(file):
        yield from _wanted(lines_of(path), sought)


def follow(file: Path, sought: Sought, sleep: Callable[[float], None] = time.sleep) -> Iterator[tuple[bytes, Event]]:
    """The events that are wanted and are written from now on, for ever; in the next file, too, once there is one.

    Raises:
        OSError: the file cannot be read.
    """
    content = file.open("rb")
    try:
        content.seek(0, os.SEEK_END)
        begun = b""
        while True:
            more = content.readline()
            begun += more
            if begun.endswith(b"\n"):
                yield from _wanted([begun], sought)
                begun = b""
            elif more:
                continue  # the rest of the line may be there by now
            elif _is_old(content, file):
                content.close()
                content, begun = file.open("rb"), b""
            else:
                sleep(LOOK_SECONDS)
    finally:
        content.close()


class _Reader:
    """Gives the lines of files one after the other, and knows afterwards which stood where."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = files
        self._counts: list[tuple[Path, int]] = []

    def lines(self) -> Iterator[bytes]:
        for path in self._files:
            self._counts.append((path, 0))
            for number, line in enumerate(lines_of(path), 1):
                self._counts[-1] = path, number
                yield line

    def place(self, line: int) -> str:
        for path, count in self._counts:
            if line <= count:
                return f"{path}, line {line}"
            line -= count
        return ""


def _head(file: Path, key: bytes | None) -> Place | None:
    try:
        return read_head(key, head_path(file).read_bytes())
    except FileNotFoundError:
        return None


def _without_head(found: Verified | Broken, head: Place | None) -> Verified | Broken:
    """A log without a head is no proof of its end, unless it was only begun."""
    if head is None and isinstance(found, Verified) and found.last > 1:
        return Broken(
            0, "its head is missing, or was not written by the gateway: nobody knows where the log should end"
        )
    return found


def _wanted(lines: Iterable[bytes], sought: Sought) -> Iterator[tuple[bytes, Event]]:
    for line in lines:
        try:
            event = _event_decoder.decode(read_line(line).event)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if sought.includes(event):
            yield line.rstrip(b"\n"), event


def _is_old(content: BinaryIO, file: Path) -> bool:
    """Whether another file has its place by now."""
    try:
        there = file.stat()
    except FileNotFoundError:
        return False
    return there.st_ino != os.fstat(content.fileno()).st_ino
