"""Starts HAProxy in place of itself, so that it ends with the process that asked for it.

Ray Serve starts HAProxy as a child and leaves it behind, with its port, when Serve is killed; it opens HAProxy's
statistics and metrics to every interface; and it turns on kernel splicing, under which HAProxy 2.8 does not notice
that a client has left whose request's head and body came in two packets, so that a cancelled call would run on.
This program is given to Serve as the HAProxy binary: it ties the process to its parent's life, binds every port but
the door itself to loopback, turns splicing off, and becomes HAProxy.
"""

import ctypes
import itertools
import os
import re
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1

DOOR = "frontend http_frontend"
"""The section of the port that is meant for clients; it is open to every interface if the user wants that."""

_SECTION = re.compile(r"[a-z-]+\b.*")
_SPLICING = re.compile(r"^[ \t]*option splice-\w+[ \t]*\n", re.MULTILINE)
_OPEN_BIND = re.compile(r"^(\s*bind\s+)\*?:(\d+)\b")


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


def main() -> None:
    """`haproxy_keeper.py PARENT BINARY ARGUMENT…`: never returns. `PARENT` is the process that asked for HAProxy."""
    parent, binary, *arguments = sys.argv[1:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before it could take us along
        sys.exit("the process that asked for HAProxy is gone")
    for flag, value in itertools.pairwise(arguments):
        if flag == "-f":
            path = Path(value)
            path.write_text(without_splicing(close_to_others(path.read_text())))
    os.execv(binary, [binary, *arguments])  # noqa: S606 - becoming HAProxy is what this program is for


if __name__ == "__main__":
    main()
