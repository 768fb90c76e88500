"""`only1mcp environment`: what must stand in the environment of a cluster node before its Ray starts."""

import os
import random
import shlex
import tempfile
from pathlib import Path
from typing import Final, TextIO

from actors.core.settings import ServerSettings
from serve_app.door_secret import cluster_secret
from serve_app.environment import ray_environment
from serve_app.port_block import port_block

FOLDER: Final = "o1m-node"
"""Where HAProxy of a node keeps its files, below the folder for temporary files; short, as its sockets demand."""


def environment(out: TextIO, root: Path | None = None) -> int:
    """Print `export` lines for `eval` in a shell, and make the folder they speak of. Returns the exit code, 0."""
    folder = (root or Path(tempfile.gettempdir())) / f"{FOLDER}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid() or folder.lstat().st_mode & 0o077:
        raise PermissionError(f"{folder} does not belong to this user alone")
    with port_block(random.random) as ports:  # free now; what is printed is for a Ray that starts later
        variables = ray_environment(
            folder, ServerSettings().drain_seconds, ports, cluster=True, secret=cluster_secret(os.environ, Path.home())
        )
    out.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    return 0
