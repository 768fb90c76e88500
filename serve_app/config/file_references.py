"""Files that strings refer to by `${file:PATH}`: a secret of its own file, as Docker and Kubernetes mount them."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from serve_app.config.machine import locate

MAX_BYTES: Final = 64 * 1024
"""Keys have a few thousand bytes; a device file given by mistake never ends."""


class FileReferenceError(ValueError):
    """A file that cannot be used. Arguments: a sentence that names it as written, and nothing of what it holds."""


class FileReferences:
    """Reads the files of one configuration, each time that it is loaded."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        """`folder` is where relative paths begin; `environ` has the home folder."""
        self._folder = folder
        self._environ = environ
        self._open_to_all: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for every file that was read and that everybody on the machine may read."""
        return tuple(f"everyone on this machine can read {path}" for path in self._open_to_all)

    def read(self, path: str) -> str:
        """What a file holds, without the line break at its end.

        Raises:
            FileReferenceError: it is not there, or is no file of a few lines of text.
        """
        try:
            # without waiting: a pipe has no end, and maybe no beginning
            descriptor = os.open(locate(path, self._folder, self._environ), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                mode = os.fstat(descriptor).st_mode
                if not stat.S_ISREG(mode):
                    raise FileReferenceError(f"{path} is not a file")
                held = os.read(descriptor, MAX_BYTES + 1)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            if isinstance(error, FileReferenceError):
                raise
            reason = error.strerror if isinstance(error, OSError) else "it is no path"
            raise FileReferenceError(f"{path} cannot be read: {reason}") from None
        if len(held) > MAX_BYTES:
            raise FileReferenceError(f"{path} is larger than {MAX_BYTES} bytes")
        try:
            text = held.decode()
        except UnicodeDecodeError:
            raise FileReferenceError(f"{path} does not hold UTF-8 text") from None
        if mode & stat.S_IROTH:
            self._open_to_all[path] = None
        return text.removesuffix("\n").removesuffix("\r")
