"""What a login leaves on the machine of the person: one file for each gateway, which nobody else can read."""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import platformdirs

from serve_app.private_file import NotPrivate, make_private_folder, read_private, write_private

MAX_BYTES: Final = 64 * 1024

FOLDER: Final = "logins"

LOCK_SECONDS: Final = 60.0
"""Who holds a login asks the gateway once, and the disk."""

LOOK_SECONDS: Final = 0.05
"""Between two looks whether it is free."""


class KeptError(Exception):
    """The file cannot be written, or not be trusted; the message is a sentence for a person."""


class KeptLogin(msgspec.Struct, frozen=True):
    """A login at one gateway."""

    gateway: str
    """Its URL, without a path."""
    provider: str
    client_id: str
    subject: str
    """Who it is, as the gateway's tokens say."""
    access: str
    expires_at: float
    """Of `access`, in Unix seconds."""
    refresh: str

    def __repr__(self) -> str:
        return f"KeptLogin(gateway={self.gateway!r}, subject={self.subject!r})"


def gateway_of(url: str) -> str:
    """The URL of a gateway without a path, by which its login is known; `url` may have one."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def login_path(gateway: str, folder: Path | None = None) -> Path:
    """Where the login at a gateway is kept; `gateway` is a URL without a path."""
    digest = hashlib.sha256(gateway.encode()).hexdigest()[:24]
    return (folder or platformdirs.user_config_path("only1mcp") / FOLDER) / f"{digest}.json"


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only process that changes a login: of two that refreshed at once, one would seem a thief.

    Raises:
        KeptError: there is no folder for it that is ours alone, or another process does not let go of it.
    """
    try:
        make_private_folder(path.parent)
        number = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except NotPrivate as shared:
        raise KeptError(str(shared)) from None
    except OSError as error:
        raise KeptError(f"{path.parent} cannot be written: {error.strerror}") from error
    try:
        _claim(number, path)
        yield
    finally:
        os.close(number)


def _claim(number: int, path: Path) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise KeptError(f"another process has held {path} for {LOCK_SECONDS:g} s") from None
            time.sleep(LOOK_SECONDS)
        else:
            return


def read_login(path: Path) -> KeptLogin | None:
    """The login in the file, if there is one.

    Raises:
        KeptError: it is not ours, or not what we write.
    """
    return read_private(path, MAX_BYTES, KeptLogin, KeptError)


def write_login(path: Path, login: KeptLogin) -> None:
    """Write the file at once, or not at all; within `alone`.

    Raises:
        KeptError: it cannot be written.
    """
    try:
        # the refresh token is on the disk before the one before it is worth nothing any more
        write_private(path, msgspec.json.encode(login), sync=True)
    except OSError as error:
        raise KeptError(f"{path} cannot be written: {error.strerror}") from error


def remove_login(path: Path) -> None:
    """Remove the file, if there is one; within `alone`."""
    with suppress(FileNotFoundError):
        path.unlink()
