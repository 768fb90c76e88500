"""A log has one writer, who holds a lock on its key; and whether somebody could be that."""

import errno
import fcntl
import os
from pathlib import Path

from actors.audit_folder import AuditError, ensure_key, key_path, open_own


def lock(path: Path) -> int:
    """The key file of a log, held until the descriptor is closed: it is the one file of a log that is never replaced.

    Raises:
        AuditError: somebody else holds it.
        OSError: it cannot be opened.
    """
    descriptor = os.open(key_path(path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AuditError(f"another gateway writes the audit at {path}: name another file") from None
    return descriptor


def check_writable(path: Path) -> None:
    """See that a log can be written here, and make its key.

    Raises:
        AuditError: it cannot.
    """
    ensure_key(path)
    try:
        os.close(lock(path))
        os.close(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
        _check_folder(path.parent)
    except OSError as error:
        raise AuditError(f"the audit cannot be written at {path}: {error.strerror}") from None


def _check_folder(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "its folder cannot be written")
