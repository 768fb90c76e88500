"""A folder for one run of the command: HAProxy's files and sockets, closed to other users."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from actors.leftovers import is_abandoned

PREFIX: Final = "o1m-"
"""Short, like all of the path: HAProxy adds 68 characters for its admin socket, and takes 97 in all."""

ROOT_LIMIT: Final = 11
"""Longer folders for temporary files than this leave too little room, and `/tmp` is used instead."""


@contextmanager
def run_folder(root: Path | None = None) -> Iterator[Path]:
    """A new folder in `root`, by default where temporary files are; removed at the end.

    Those of runs that were killed are removed first: the process whose folder it is stands in its name.
    """
    if root is None:
        usual = tempfile.gettempdir()
        root = Path(usual if len(usual) <= ROOT_LIMIT else "/tmp")  # noqa: S108 - what is made there is closed to others
    for folder in root.glob(f"{PREFIX}*"):
        if is_abandoned(folder, PREFIX):
            shutil.rmtree(folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
