"""The pass: a file that lets its owner administrate the gateway that they started, for as long as that runs.

It lies in a folder that only its owner can enter, and names the address, the token and the process of the gateway.
"""

import secrets
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import platformdirs

from actors.core.settings import ServerSettings
from serve_app.own_way import own_socket
from serve_app.private_file import NotPrivate, make_private_folder, read_private, write_private

APPLICATION: Final = "only1mcp"

FOLDER: Final = "admin"
"""In the user's folder for state: that for run time is another one for services than for a shell."""

MAX_BYTES: Final = 1024 * 1024

TOKEN_BYTES: Final = 32


class PassError(Exception):
    """The file cannot be written, or not be trusted; the message is a sentence for a person."""


class Pass(msgspec.Struct, frozen=True):
    """What is in the file."""

    url: str
    """Of the gateway, without a path."""
    token: str
    pid: int
    """Of the command that runs it."""
    reloads: int = 0
    """How often the configuration was read again."""
    reloaded: tuple[str, ...] = ()
    """What came of the last time, a line each."""
    success: bool = True
    """Of the last time."""
    socket: str | None = None
    """Where to come in instead of the URL, see `serve_app.own_way`."""


def new_pass(server: ServerSettings, pid: int) -> Pass:
    """A pass with a new token, for the machine that the gateway runs on."""
    host = "127.0.0.1" if server.host in ("0.0.0.0", "::", "localhost") else server.host  # noqa: S104
    url = replace(server, host=host).origin
    return Pass(url, secrets.token_urlsafe(TOKEN_BYTES), pid, socket=own_socket(server))


def pass_path(port: int, folder: Path | None = None) -> Path:
    """Where the pass of the gateway on this port lies."""
    return (folder or platformdirs.user_state_path(APPLICATION) / FOLDER) / f"admin-{port}.json"


def write_pass(path: Path, held: Pass) -> None:
    """Write the file at once, or not at all.

    Raises:
        PassError: there is no folder for it that is ours alone.
    """
    try:
        make_private_folder(path.parent)
        write_private(path, msgspec.json.encode(held))
    except NotPrivate as shared:
        raise PassError(str(shared)) from None
    except OSError as error:
        raise PassError(f"{path} cannot be written: {error.strerror}") from error


def read_pass(path: Path) -> Pass | None:
    """The pass in the file, if there is one.

    Raises:
        PassError: it is not ours, or not what we write.
    """
    return read_private(path, MAX_BYTES, Pass, PassError)


def remove_pass(path: Path, held: Pass) -> None:
    """Remove the file, unless it is another gateway's by now."""
    with suppress(OSError, PassError):
        found = read_pass(path)
        if found is not None and found.token == held.token:
            path.unlink(missing_ok=True)


def passes(folder: Path | None = None) -> list[Path]:
    """The files of all gateways."""
    return sorted((folder or platformdirs.user_state_path(APPLICATION) / FOLDER).glob("admin-*.json"))
