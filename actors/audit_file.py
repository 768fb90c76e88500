"""The writer of the audit's log. Everything here waits for the disk, so it is for a thread."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from actors.audit_folder import all_files, file_before, files_before, head_path, lines_of, open_own, read_key
from actors.audit_lock import lock
from actors.core.audit.batch import Batch
from actors.core.audit.chain import Place, hash_of, linked, read_line
from actors.core.audit.event import Event, Kind, encoded
from actors.core.audit.head import head_of, read_head
from actors.core.audit.keys import derived
from actors.core.audit.sources import Sources

RECALLED_FILES: Final = 2
"""Files that are read at the start: the last batches of all sources stand in them."""

MAX_TORN: Final = 8192
"""Characters kept of a line that was not finished; none of ours is as long."""

FORM: Final = "only1mcp audit 1"
"""What the first line of each file says of its form."""

HEAD_LEFT: Final = "the log ended before the line that its head named"
HEAD_GONE: Final = "the head of the log was missing, or was not the writer's own"


def open_file(path: Path) -> BinaryIO:
    """A file to write at its end, whose writes are not held back; others of the machine cannot read it."""
    return os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab", buffering=0)


class AuditFile:
    """One log, and the only one who writes it. Opened at the first write, and again after whatever went wrong."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        keep_files: int,
        clock: Callable[[], datetime],
        open_file: Callable[[Path], BinaryIO] = open_file,
    ) -> None:
        """`clock` tells the time with its zone. The key must be there, see `audit_folder.ensure_key`."""
        self._path = path
        self._max_bytes = max_bytes
        self._keep_files = keep_files
        self._clock = clock
        self._open_file = open_file
        self._key = b""
        self._lock: int | None = None
        self._file: BinaryIO | None = None
        self._size = 0
        self._first = 1
        """The number of the first line of the file that is written."""
        self._place = Place()
        self._sources = Sources()

    def append(self, batch: Batch) -> tuple[bytes, ...]:
        """Write what is not written yet of a batch; gives those lines, without their line breaks.

        Raises:
            OSError: it is not written; the same batch may be tried again.
            AuditError: as above.
        """
        self._ready()
        events = self._sources.unwritten(batch)
        if not events:
            return ()
        if self._size + sum(map(len, events)) > self._max_bytes and self._place.seq > self._first:
            self._rotate()
        lines = self._write(events, batch.source, batch.sequence)
        self._sources.wrote(batch)
        self._save_head()
        return lines

    def sync(self) -> None:
        """Force what was written to the disk.

        Raises:
            OSError: nobody knows what is there.
        """
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of it; another may write it then."""
        self._drop()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _ready(self) -> None:
        if self._file is not None and not _is_at(self._file, self._path):
            self._drop()  # somebody removed or replaced it, and shall not have what comes next
        if self._file is None:
            self._open()

    def _open(self) -> None:
        """Go on where the log ends, and say in it what became of its end. Rungs:

        1. Nobody else writes it.
        2. A line that was not finished is replaced by one that has it.
        3. If lines are missing that the head names, or the head is, that is said.
        """
        self._lock = self._lock if self._lock is not None else lock(self._path)
        self._key = derived(read_key(self._path)).lines
        head = self._head()
        torn = self._recall()
        found = self._place.seq
        if self._size or torn:
            self._file = self._open_file(self._path)
        else:
            self._begin()
        try:
            if torn:
                self._mend(torn)
            if head is None and found > 1:
                self._say(Event(time=self._clock(), kind=Kind.LOSS, detail=HEAD_GONE))
            elif head is not None and head.seq > found:
                self._say(Event(time=self._clock(), kind=Kind.LOSS, detail=HEAD_LEFT, count=head.seq - found))
            self._save_head()
        except BaseException:
            self._drop()
            raise

    def _recall(self) -> bytes:
        """Learn from the newest files where the chain ends and who wrote last; gives what follows the last line."""
        self._place, self._sources, self._size, self._first = Place(), Sources(), 0, 1
        torn = b""
        for path in all_files(self._path)[-RECALLED_FILES:]:
            torn = b""
            self._size = 0
            self._first = self._place.seq + 1
            for line in lines_of(path):
                if line.endswith(b"\n"):
                    self._size += len(line)
                    self._recall_line(line[:-1], is_first=self._size == len(line))
                else:
                    torn += line
        if not self._path.exists():
            self._size, torn = 0, b""
        return torn

    def _recall_line(self, line: bytes, *, is_first: bool) -> None:
        seq = self._place.seq + 1
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            read = read_line(line)
            seq = read.seq
            if read.source:
                self._sources.found(read.source, read.batch)
        self._place = Place(seq, hash_of(line))
        if is_first:
            self._first = seq

    def _head(self) -> Place | None:
        path = head_path(self._path)
        return read_head(self._key, path.read_bytes()) if path.exists() else None

    def _mend(self, torn: bytes) -> None:
        """Put a line that has the unfinished one in its place, with one write: it is longer than what it covers."""
        text = torn.decode(errors="replace")[:MAX_TORN]
        event = Event(time=self._clock(), kind=Kind.TORN, detail=text, count=len(torn))
        line, place = linked(self._key, self._place, encoded(event))
        descriptor = open_own(self._path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, line, self._size)
            os.ftruncate(descriptor, self._size + len(line))
        finally:
            os.close(descriptor)
        self._place = place
        self._size += len(line)

    def _rotate(self) -> None:
        self.sync()
        self._drop()
        self._path.rename(file_before(self._path, self._first))
        self._begin()

    def _begin(self) -> None:
        """Begin a file. It says from where on files are kept before others are removed, so that none is missed."""
        before = files_before(self._path)
        kept = before[len(before) - self._keep_files :] if self._keep_files < len(before) else before
        first = self._place.seq + 1
        self._file = self._open_file(self._path)
        self._size, self._first = 0, first
        oldest = kept[0][0] if kept else first
        try:
            self._say(Event(time=self._clock(), kind=Kind.FILE, detail=FORM, oldest=oldest))
        except BaseException:
            self._drop()
            raise
        for number, path in before:
            if number < oldest:
                path.unlink(missing_ok=True)

    def _say(self, event: Event) -> None:
        self._write([encoded(event)], "", 0)

    def _write(self, events: Sequence[bytes], source: str, batch: int) -> tuple[bytes, ...]:
        """All of them, or none."""
        assert self._file is not None, "it was opened"  # noqa: S101
        lines, place = [], self._place
        for event in events:
            line, place = linked(self._key, place, event, source, batch)
            lines.append(line)
        content = memoryview(b"".join(lines))
        size = self._size + len(content)
        try:
            while content:
                content = content[self._file.write(content) :]
        except BaseException:
            self._undo()
            raise
        self._place, self._size = place, size
        return tuple(line[:-1] for line in lines)

    def _undo(self) -> None:
        try:
            os.ftruncate(self._file.fileno(), self._size)  # type: ignore[union-attr]
        except OSError:
            self._drop()  # what is left of it is found when the file is opened again

    def _save_head(self) -> None:
        path = head_path(self._path)
        fresh = path.with_name(f"{path.name}.new")
        descriptor = open_own(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as out:
            out.write(head_of(self._key, self._place))
        fresh.replace(path)

    def _drop(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    here = os.fstat(file.fileno())
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
