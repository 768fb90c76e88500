"""Recognises what processes left behind in folders for temporary files when they were killed."""

import os
import re
from pathlib import Path


def is_abandoned(path: Path, prefix: str) -> bool:
    """Whether a path named `<prefix><process id>-…` is this user's, and its process is gone."""
    name = re.match(rf"{re.escape(prefix)}([0-9]+)-", path.name)
    if name is None:
        return False
    try:
        if path.lstat().st_uid != os.getuid():
            return False
        os.kill(int(name[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
