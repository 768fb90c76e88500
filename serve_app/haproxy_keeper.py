"""Starts HAProxy in place of itself, so that it ends with the process that asked for it.

Ray Serve starts HAProxy as a child and leaves it behind, with its port, when Serve is killed; it opens HAProxy's
statistics and metrics to every interface; and it turns on kernel splicing, under which HAProxy 2.8 does not notice
that a client has left whose request's head and body came in two packets, so that a cancelled call would run on.
This program is given to Serve as the HAProxy binary: it ties the process to its parent's life, binds every port but
the door itself to loopback, turns splicing off, has the door say whom it saw, wait for nobody for ever and speak TLS
if it shall, and becomes HAProxy.

It runs without our packages, so that it starts at once; what it needs to know stands in its environment
(`environment.py`), and of TLS in a file in the folder for HAProxy's (`door_tls.py`).
"""

import ctypes
import itertools
import json
import os
import re
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1

DOOR = "frontend http_frontend"
"""The section of the port that is meant for clients; it is open to every interface if the user wants that."""

SECRET_VARIABLE = "ONLY1MCP_DOOR_SECRET"  # noqa: S105 - the name of a variable
PEER = "x-only1mcp-peer"
"""See `serve_app.peer`."""

FILE_VARIABLE = "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"
"""Where Serve was told to keep HAProxy's configuration. It adds a folder with the id of the node."""

TLS_FILE = "door-tls.json"
PEM_FILE = "door.pem"
CA_FILE = "door-ca.pem"
SOCKET_FILE = "door.sock"
"""Where the command of the gateway comes in when clients need TLS: its certificate need not name this machine."""

HEAD_SECONDS = 20
"""How long the head of a request may take to arrive."""
CLIENT_SECONDS = 75
"""How long a client may do nothing while it is its turn: send a body, or read an answer. Longer than what the gateway
itself waits for a body, so that it can say why."""
TUNNEL_SECONDS = 300
"""The same for a WebSocket, over which the gateway sends a ping every 20 s."""

_SECTION = re.compile(r"[a-z-]+\b.*")
_SPLICING = re.compile(r"^[ \t]*option splice-\w+[ \t]*\n", re.MULTILINE)
_BIND = re.compile(r"^\s*bind\s+\S+")
_OPEN_BIND = re.compile(r"^(\s*bind\s+)\*?:(\d+)\b")
_SAFE = re.compile(r"[A-Za-z0-9_-]+")


def close_to_others(configuration: str) -> str:
    """The configuration with every `bind *:port` and `bind :port` on loopback, but for those of `DOOR`."""
    section = ""
    lines = []
    for line in configuration.splitlines(keepends=True):
        if _SECTION.match(line):
            section = " ".join(line.split())
        lines.append(line if section == DOOR else _OPEN_BIND.sub(r"\g<1>127.0.0.1:\g<2>", line))
    return "".join(lines)


def without_splicing(configuration: str) -> str:
    """The configuration without the options for splicing; every other line stays."""
    return _SPLICING.sub("", configuration)


def guarded(configuration: str, secret: str, encryption: str = "") -> str:
    """The configuration with what `DOOR` does for us, before anything else there.

    It limits what clients may take their time for, says whom it saw, and not by what it was answered. Without a secret
    it says nothing, but removes what a client said. `encryption` is as `encrypted` makes it.
    """
    section = ""
    lines = []
    for line in configuration.splitlines(keepends=True):
        if _SECTION.match(line):
            section = " ".join(line.split())
        if section == DOOR and _BIND.match(line):
            lines.append(f"{line.rstrip()}{encryption}\n")
            lines += [f"    {rule}\n" for rule in _rules(secret)]
        else:
            lines.append(line)
        if section == "defaults" and line.split() == ["defaults"]:
            lines.append(f"    timeout tunnel {TUNNEL_SECONDS}s\n")
    return "".join(lines)


def encrypted(folder: Path) -> str:
    """What the line of the door's port needs for TLS, if `TLS_FILE` is in the folder; else nothing.

    Puts certificate and key into one file, as HAProxy wants them, and a line for `SOCKET_FILE` after the port's.
    """
    try:
        tls = json.loads((folder / TLS_FILE).read_text())
    except FileNotFoundError:
        return ""
    _write(folder / PEM_FILE, Path(tls["certificate"]).read_text() + "\n" + Path(tls["key"]).read_text())
    words = f" ssl crt {folder / PEM_FILE} ssl-min-ver TLSv{tls['min_version']} alpn http/1.1"
    if tls["client_ca"] is not None:
        _write(folder / CA_FILE, Path(tls["client_ca"]).read_text())
        words += f" ca-file {folder / CA_FILE} verify required"
    return f"{words}\n    bind unix@{folder / SOCKET_FILE} mode 600"


def _rules(secret: str) -> list[str]:
    shown = [f"http-request del-header {PEER}"]
    if _SAFE.fullmatch(secret):
        shown.append(f'http-request set-header {PEER} "{secret} %[src]" if {{ src -m found }}')
        shown.append(f'http-request set-header {PEER} "{secret} 127.0.0.1" unless {{ src -m found }}')
    return [
        f"timeout client {CLIENT_SECONDS}s",
        f"timeout http-request {HEAD_SECONDS}s",
        *shown,
        "http-after-response del-header server",
    ]


def _write(path: Path, text: str) -> None:
    """Write a file for this user only, whole before it can be read."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def main() -> None:
    """`haproxy_keeper.py PARENT BINARY ARGUMENT…`: never returns. `PARENT` is the process that asked for HAProxy."""
    parent, binary, *arguments = sys.argv[1:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before it could take us along
        sys.exit("the process that asked for HAProxy is gone")
    secret = os.environ.pop(SECRET_VARIABLE, "")
    for flag, value in itertools.pairwise(arguments):
        if flag == "-f":
            path = Path(value)
            configuration = without_splicing(close_to_others(path.read_text()))
            folder = Path(os.environ.get(FILE_VARIABLE, path)).parent
            _write(path, guarded(configuration, secret, encrypted(folder)))
    os.execv(binary, [binary, *arguments])  # noqa: S606 - becoming HAProxy is what this program is for


if __name__ == "__main__":
    main()
