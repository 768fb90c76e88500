"""`only1mcp validate FILE`: says what a file amounts to, or everything that is wrong with it."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from serve_app.config import ConfigError, check_exposure, description, load


def validate(
    path: Path,
    out: TextIO,
    errors: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Describe the configuration on `out`, or list its problems on `errors`, by default the standard error stream.

    Returns the exit code, 0 or 2.
    """
    errors = errors or sys.stderr
    try:
        loaded = load(path, environ)
    except ConfigError as error:
        errors.write(f"{error}\n")
        return 2
    exposed = check_exposure(loaded.settings)
    if exposed is not None:
        errors.write(f"{path}: {exposed}\n")
        return 2
    lines = [*description(loaded.settings, loaded.written), *loaded.notes]
    out.write("".join(f"{line}\n" for line in lines))
    return 0
