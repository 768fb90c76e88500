"""A folder for one run of the command: HAProxy's files and the sockets of links, closed to other users."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "only1mcp-run-"
OWNER: Final = "pid"
"""The file that names the process whose folder it is."""


@contextmanager
def run_folder() -> Iterator[Path]:
    """A new folder, removed at the end; those of runs that were killed are removed first."""
    root = Path(tempfile.gettempdir())
    for folder in root.glob(f"{PREFIX}*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
    (folder / OWNER).write_text(str(os.getpid()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Whether the folder is ours and its process is gone."""
    try:
        if folder.stat().st_uid != os.getuid():
            return False
        os.kill(int((folder / OWNER).read_text()), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False
