"""A folder for one run of the command: HAProxy's files and sockets, closed to other users."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "o1m-"
"""Short, like all of the path: HAProxy adds 68 characters for its admin socket, and takes 97 in all."""

ROOT_LIMIT: Final = 11
"""Longer folders for temporary files than this leave too little room, and `/tmp` is used instead."""

_NAME: Final = re.compile(rf"{PREFIX}([0-9]+)-.*")
"""The process whose folder it is stands in the name, so that no folder is ever without an owner."""


@contextmanager
def run_folder(root: Path | None = None) -> Iterator[Path]:
    """A new folder in `root`, by default where temporary files are; removed at the end.

    Those of runs that were killed are removed first.
    """
    if root is None:
        usual = tempfile.gettempdir()
        root = Path(usual if len(usual) <= ROOT_LIMIT else "/tmp")  # noqa: S108 - what is made there is closed to others
    for folder in root.glob(f"{PREFIX}*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Whether the folder is ours and its process is gone."""
    name = _NAME.fullmatch(folder.name)
    if name is None:
        return False
    try:
        if folder.lstat().st_uid != os.getuid():
            return False
        os.kill(int(name[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
