"""The files of a log on disk: how they are called, in which order they are read, and the two that belong to it.

Beside `audit.jsonl`, which is written, are the files before it, `audit.jsonl.000000000123`, by the number of their
first line; `audit.jsonl.key`, the key; and `audit.jsonl.head`, how far the log had come.
"""

import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from actors.core.audit.keys import KEY_BYTES

MAX_LINE: Final = 1024 * 1024
"""Bytes: whatever is longer was not written by us, and is read in parts."""

_NUMBER: Final = re.compile(r"\.(\d{12,18})")


class AuditError(Exception):
    """The log cannot be used; the sentence says why."""


def key_path(file: Path) -> Path:
    """Where the key of a log lies."""
    return file.with_name(f"{file.name}.key")


def head_path(file: Path) -> Path:
    """Where the head of a log lies."""
    return file.with_name(f"{file.name}.head")


def file_before(file: Path, first: int) -> Path:
    """What a file is called once it is no more written; `first` is the number of its first line."""
    return file.with_name(f"{file.name}.{first:012d}")


def files_before(file: Path) -> list[tuple[int, Path]]:
    """The files that are no more written, in order, each with the number of its first line."""
    found = []
    for path in file.parent.glob(f"{file.name}.*") if file.parent.is_dir() else ():
        match = _NUMBER.fullmatch(path.name[len(file.name) :])
        if match is not None:
            found.append((int(match[1]), path))
    return sorted(found)


def all_files(file: Path) -> list[Path]:
    """All files of the log that are there, in order."""
    return [*(path for _, path in files_before(file)), *([file] if file.exists() else [])]


def open_own(path: Path, flags: int) -> int:
    """A descriptor of a file of the log, which others of the machine cannot read; a link in its place is not followed.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file with their line breaks; the last may have none, and one that is too long comes in parts.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as content:
        while line := content.readline(MAX_LINE):
            yield line


def read_key(file: Path) -> bytes:
    """The key of a log.

    Raises:
        AuditError: there is none, or it cannot be read.
    """
    path = key_path(file)
    try:
        key = path.read_bytes()
    except OSError as error:
        raise AuditError(f"the key of the audit, {path}, cannot be read: {error.strerror}") from None
    if len(key) != KEY_BYTES:
        raise AuditError(f"{path} is not the key of an audit")
    return key


def ensure_key(file: Path, token_bytes: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
    """The key of a log, made if there is no log yet; the folder is made, too.

    Raises:
        AuditError: there is a log, and its key is gone; or the folder cannot be written.
    """
    path = key_path(file)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            return read_key(file)
        if all_files(file) or head_path(file).exists():
            raise AuditError(f"the key of the audit, {path}, is gone: move the log {file} aside to begin another one")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(token_bytes(KEY_BYTES))
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise AuditError(f"the audit cannot be written at {file}: {error.strerror}") from None
    return read_key(file)
