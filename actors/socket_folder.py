"""The folder of the unix sockets that links are accepted on: short, because a socket's path is limited to 107 bytes."""

import os
import secrets
import tempfile
from pathlib import Path

from actors.leftovers import is_abandoned


def new_socket() -> str:
    """The address of a new socket in a folder that only we can enter; what dead processes left there is removed.

    Raises:
        OSError: there is no folder for sockets that is ours alone.
    """
    folder = Path(tempfile.gettempdir()) / f"only1mcp-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise PermissionError(f"{folder} does not belong to this user alone")
    for socket in folder.iterdir():
        if is_abandoned(socket, ""):
            socket.unlink(missing_ok=True)
    return f"unix:{folder}/{os.getpid()}-{secrets.token_hex(8)}.sock"
