"""What a login leaves on the machine of the person: one file for each gateway, which nobody else can read."""

import fcntl
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import platformdirs

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
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise KeptError(f"{path.parent} does not belong to this user alone")
        number = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
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
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise KeptError(f"{path} does not belong to this user alone")
            return msgspec.json.decode(file.read(MAX_BYTES), type=KeptLogin)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeptError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise KeptError(f"{path} holds something else") from None


def write_login(path: Path, login: KeptLogin) -> None:
    """Write the file at once, or not at all; within `alone`.

    Raises:
        KeptError: it cannot be written.
    """
    try:
        number, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
        try:
            with os.fdopen(number, "wb") as file:
                file.write(msgspec.json.encode(login))
                file.flush()
                os.fsync(number)  # the refresh token before it is worth nothing any more
            Path(fresh).replace(path)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise KeptError(f"{path} cannot be written: {error.strerror}") from error


def remove_login(path: Path) -> None:
    """Remove the file, if there is one; within `alone`."""
    with suppress(FileNotFoundError):
        path.unlink()
