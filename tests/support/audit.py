"""Logs of the audit in a folder of a test, and doubles of those who take part in one."""

import errno
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from actors.audit_file import AuditFile, open_file
from actors.audit_folder import all_files, ensure_key, head_path, lines_of, read_key
from actors.auditing import Auditing
from actors.core.audit.batch import Batch, Receipt
from actors.core.audit.chain import Place, linked
from actors.core.audit.event import Event, Kind, encoded
from actors.core.audit.head import read_head
from actors.core.audit.keys import derived
from actors.core.audit.verification import Broken, Verified, verify
from actors.core.audit_settings import AuditSettings
from actors.refs.gone import ActorGone
from serve_app.recording import Recorder

NOW = datetime(2026, 7, 28, 12, 0, tzinfo=UTC)
KEY = b"k" * 32


def event(name: str = "echo", **fields: Any) -> Event:
    return Event(**{"time": NOW, "kind": Kind.CALL, "name": name, **fields})


def chain(count: int, key: bytes = KEY) -> list[bytes]:
    """So many lines, the first of which begins a file."""
    place, lines = Place(), []
    for number in range(count):
        made = event(f"tool-{number}") if number else event(kind=Kind.FILE, oldest=1, name="")
        line, place = linked(key, place, encoded(made), "test", number)
        lines.append(line)
    return lines


def batch(*names: str, source: str = "ingress:1", sequence: int = 1) -> Batch:
    return Batch(source, sequence, tuple(encoded(event(name)) for name in names))


def log_at(path: Path, *, max_bytes: int = 2**20, keep_files: int = 10, opener: Any = open_file) -> AuditFile:
    ensure_key(path)
    return AuditFile(path, max_bytes=max_bytes, keep_files=keep_files, clock=lambda: NOW, open_file=opener)


def verdict(path: Path) -> Verified | Broken:
    """On the whole log, with its key and its head."""
    key = derived(read_key(path)).lines
    head = read_head(key, head_path(path).read_bytes())
    assert head is not None
    return verify([line for file in all_files(path) for line in lines_of(file)], key, head)


class Disk:
    """Gives real files, and is full when a test says so."""

    def __init__(self) -> None:
        self.room: int | None = None
        """Bytes that still fit."""

    def open(self, path: Path) -> BinaryIO:
        return _OnDisk(open_file(path), self)  # type: ignore[return-value]


class _OnDisk:
    def __init__(self, file: BinaryIO, disk: Disk) -> None:
        self._file = file
        self._disk = disk

    def write(self, content: bytes) -> int:
        room = self._disk.room
        if room is None:
            return self._file.write(content)
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._disk.room = max(0, room - len(content))
        return self._file.write(content[:room])

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()


class WriterDouble:
    """Stands where an `AuditRef` would: keeps each batch once, and says what a test wants."""

    def __init__(self) -> None:
        self.batches: dict[int, Batch] = {}
        self.sent = 0
        self.away = False
        self.full = False
        self.forgets_to_answer = False
        """It writes, and the answer is lost."""
        self.dropped = 0

    async def write(self, batch: Batch) -> Receipt:
        self.sent += 1
        if self.away:
            raise ActorGone("Audit")
        if self.full:
            return Receipt(False, "No space left on device")
        assert self.batches.setdefault(batch.sequence, batch) == batch, "another batch under the same number"
        if self.forgets_to_answer:
            raise ActorGone("TimeoutError")
        dropped, self.dropped = self.dropped, 0
        return Receipt(True, "", dropped)

    @property
    def events(self) -> list[bytes]:
        return [event for _, batch in sorted(self.batches.items()) for event in batch.events]


class SinkDouble:
    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.closed = False

    def take(self, lines: Sequence[bytes]) -> None:
        self.lines.extend(lines)

    def dropped(self) -> int:
        return 3

    async def close(self) -> None:
        self.closed = True


def recording(
    writer: WriterDouble, settings: AuditSettings | None = None, clock: Callable[[], float] = lambda: 0.0
) -> tuple[Recorder, Auditing]:
    """A recorder, and what sends to the double what it records; the time stands still."""
    chosen = settings or AuditSettings()
    auditing = Auditing("ingress:1", lambda: writer, chosen, clock, lambda: NOW)
    return Recorder(auditing, chosen, KEY), auditing
