"""The sandbox of a stdio server on this machine: what its settings come to, and what of them cannot be enforced."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from actors.core.sandbox_settings import LIMITS, Network, SandboxSettings
from actors.transports import confinement

TRY_SECONDS: Final = 10.0
"""For a process that only tries; it takes 30 ms."""

_LINUX_ONLY: Final = ("memory", "processes")


def objections(
    sandbox: SandboxSettings, environ: Mapping[str, str], platform: str = sys.platform, uid: int | None = None
) -> Iterator[tuple[str, str]]:
    """What cannot be enforced here, by setting, with a sentence; `environ` is our environment, and `uid` who we are."""
    uid = os.geteuid() if uid is None else uid
    for name in sandbox.inherit_env:
        if name not in environ:
            yield "inherit_env", f"names the variable {name}, which is not set"
    if platform != "linux":
        yield from _wants_of_linux(sandbox)
    if sandbox.processes is not None and uid == 0 and (sandbox.user is None or _is_root(sandbox.user)):
        yield "processes", "does not bind root: say `user`, too"
    if sandbox.user is not None:
        entry = _entry(sandbox.user)
        if entry is None:
            yield "user", "is no user of this machine"
        elif uid not in (0, entry.pw_uid):
            yield "user", "is somebody else, and only root may start a server as another user"


def _wants_of_linux(sandbox: SandboxSettings) -> Iterator[tuple[str, str]]:
    for name in _LINUX_ONLY:
        if getattr(sandbox, name) is not None:
            yield name, "can only be enforced on Linux"
    if sandbox.network is Network.NONE:
        yield "network", "can only be withheld on Linux"


def parts_of(sandbox: SandboxSettings) -> dict[bytes, int]:
    """What `confinement.confine` does for a sandbox without objections."""
    parts = {name.encode(): value for name in LIMITS if (value := getattr(sandbox, name)) is not None}
    entry = None if sandbox.user is None else _entry(sandbox.user)
    if entry is not None and entry.pw_uid != os.geteuid():
        parts |= {confinement.UID: entry.pw_uid, confinement.GID: entry.pw_gid}
    if sandbox.network is Network.NONE:
        parts[confinement.NETWORK] = 1
    return parts


def variables_of(sandbox: SandboxSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """What of our environment it sees because it says so, and who it is if that is somebody else than we are."""
    variables = {name: environ[name] for name in sandbox.inherit_env if name in environ}
    entry = None if sandbox.user is None else _entry(sandbox.user)
    if entry is not None:
        variables |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    return variables


def obstacle(sandbox: SandboxSettings) -> tuple[str, str] | None:
    """Try it in a process that ends at once: the setting that this machine does not allow, and why, if there is one.

    Waits for that process, some 30 ms.
    """
    parts = parts_of(sandbox)
    if not parts.keys() & {confinement.NETWORK, confinement.PROCESSES, confinement.UID}:
        return None
    program = [sys.executable, "-I", "-S", confinement.__file__, confinement.encode(parts).decode()]
    try:
        tried = subprocess.run(program, capture_output=True, timeout=TRY_SECONDS, check=False, env={})
    except (OSError, subprocess.TimeoutExpired):
        return "sandbox", "cannot be tried: no process can be started"
    if tried.returncode == 0:
        return None
    part, _, reason = tried.stdout.decode(errors="replace").partition(" ")
    return part or "sandbox", f"cannot be had on this machine: {reason or 'nobody says why'}"


def _entry(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        return None


def _is_root(user: str) -> bool:
    entry = _entry(user)
    return entry is not None and entry.pw_uid == 0
