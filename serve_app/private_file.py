"""Files that nobody else can read: written at once or not at all, and read only if they are still ours alone."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


class NotPrivate(Exception):  # noqa: N818, it names what was found
    """A file or folder that others can reach; the message is a sentence for a person."""


def make_private_folder(folder: Path) -> None:
    """Make a folder that only this user can enter, or check that it is one.

    Raises:
        NotPrivate: it is another's, or open to others.
        OSError: it cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or _is_shared(found):
        raise NotPrivate(f"{folder} does not belong to this user alone")


def write_private(path: Path, content: bytes, *, sync: bool = False) -> None:
    """Write a file whole; with `sync` it is on the disk afterwards.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    number, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(number)
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise


def read_private(path: Path, max_bytes: int, kind: type[S], trouble: Callable[[str], Exception]) -> S | None:
    """The structure that a file holds as JSON, in its first `max_bytes`; nothing if there is no file.

    Raises:
        Whatever `trouble` makes of a sentence for a person: the file is not ours alone, or cannot be read, or holds
            something else.
    """
    try:
        return msgspec.json.decode(_read(path, max_bytes), type=kind)
    except FileNotFoundError:
        return None
    except NotPrivate as shared:  # a stranger may have written it
        raise trouble(str(shared)) from None
    except OSError as error:
        raise trouble(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise trouble(f"{path} holds something else") from None


def _read(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as file:
        if _is_shared(os.fstat(file.fileno())):
            raise NotPrivate(f"{path} does not belong to this user alone")
        return file.read(max_bytes)


def _is_shared(found: os.stat_result) -> bool:
    return found.st_uid != os.getuid() or bool(found.st_mode & 0o077)
