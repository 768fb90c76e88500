"""What a stdio server's process does to itself before it becomes the server: see `SandboxSettings`.

Runs in the guardian's child, so it imports little, and what it imports is there before any right is given up.

Rlimits hold for each process, but `processes`: it is counted in the user namespace, and so gets one of its own. Without
root, so does a network. Source: user_namespaces(7), network_namespaces(7), getrlimit(2).
"""

from __future__ import annotations

import ctypes
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

UID, GID, NETWORK = b"uid", b"gid", b"network"
MEMORY, CPU_SECONDS, FILES, PROCESSES, FILE_SIZE = b"memory", b"cpu_seconds", b"files", b"processes", b"file_size"

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
PR_SET_DUMPABLE: Final = 4

_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1


class ConfinementError(OSError):
    """A part of it cannot be had; `part` is the name of the setting."""

    def __init__(self, part: str, number: int) -> None:
        super().__init__(number, os.strerror(number))
        self.part = part


def encode(parts: Mapping[bytes, int]) -> bytes:
    """What `confine` reads."""
    return b" ".join(b"%s=%d" % part for part in parts.items())


def confine(encoded: bytes) -> None:
    """Give up what the parts say, for this process and all that it starts.

    Raises:
        ConfinementError: one of them cannot be had; nothing must be executed then.
    """
    import resource

    parts = {name: int(value) for name, _, value in (part.partition(b"=") for part in encoded.split())}
    libc = ctypes.CDLL(None, use_errno=True)
    is_root = os.geteuid() == 0
    if NETWORK in parts and is_root:
        _unshare(libc, CLONE_NEWNET, "network")
        _raise_loopback()
    if UID in parts:
        _become(parts[UID], parts[GID])
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else its own files in /proc belong to root
    if PROCESSES in parts:
        _enter_user_namespace(libc, 0, "processes")
    if NETWORK in parts and not is_root:
        _enter_user_namespace(libc, CLONE_NEWNET, "network")
        _raise_loopback()
    for name, number in (
        (CPU_SECONDS, resource.RLIMIT_CPU),
        (FILES, resource.RLIMIT_NOFILE),
        (PROCESSES, resource.RLIMIT_NPROC),
        (FILE_SIZE, resource.RLIMIT_FSIZE),
        (MEMORY, resource.RLIMIT_DATA),
    ):
        if name in parts:
            try:
                _, most = resource.getrlimit(number)
                limit = parts[name] if most == resource.RLIM_INFINITY else min(parts[name], most)
                resource.setrlimit(number, (limit, limit))
            except (OSError, ValueError) as error:  # it is a ValueError where we may not
                raise ConfinementError(name.decode(), getattr(error, "errno", None) or errno.EPERM) from None


def _become(uid: int, gid: int) -> None:
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise ConfinementError("user", error.errno or 0) from None


def _enter_user_namespace(libc: ctypes.CDLL, further: int, part: str) -> None:
    """Go into a user namespace of our own, in which we are who we were."""
    uid, gid = os.geteuid(), os.getegid()
    _unshare(libc, CLONE_NEWUSER | further, part)
    try:
        for name, text in (
            ("setgroups", b"deny"),
            ("uid_map", b"%d %d 1" % (uid, uid)),
            ("gid_map", b"%d %d 1" % (gid, gid)),
        ):
            file = os.open(f"/proc/self/{name}", os.O_WRONLY)
            os.write(file, text)
            os.close(file)
    except OSError as error:
        raise ConfinementError(part, error.errno or 0) from None


def _unshare(libc: ctypes.CDLL, flags: int, part: str) -> None:
    if libc.unshare(flags):
        raise ConfinementError(part, ctypes.get_errno())


def _raise_loopback() -> None:
    """Many a server speaks to its own parts there; nobody else is on it."""
    import _socket
    import fcntl

    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        fcntl.ioctl(sock.fileno(), _SIOCSIFFLAGS, b"lo".ljust(16, b"\0") + _IFF_UP.to_bytes(2, "little") + bytes(22))
    except OSError as error:
        raise ConfinementError("network", error.errno or 0) from None
    finally:
        sock.close()


if __name__ == "__main__":
    import sys

    try:
        confine(sys.argv[1].encode())
    except ConfinementError as error:
        sys.stdout.write(f"{error.part} {error.strerror}")
        sys.exit(1)
