"""Where a backend replica listens: `unix:/path` on its own node, `tcp:host:port` for others (`tcp:[::1]:0` is IPv6)."""

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from actors.bus.keychain import Tls

Factory = Callable[[], asyncio.BaseProtocol]

BACKLOG: Final = 128


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket file. Only the user who listens may connect to it."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"

    async def connect(self, factory: Factory) -> None:
        """Connect, and hand the connection to the protocol of `factory`. It is not encrypted: it leaves no node.

        Raises:
            OSError: nobody listens there.
        """
        await asyncio.get_running_loop().create_unix_connection(factory, self.path)

    async def listen(self, factory: Factory) -> tuple[asyncio.Server, "UnixAddress"]:
        """Listen, in the place of a dead process if it left its socket file; the server and the real address.

        Raises:
            OSError: a living process listens there, or the file cannot be made.
        """
        listening = self._bind()
        return await asyncio.get_running_loop().create_unix_server(factory, sock=listening, backlog=BACKLOG), self

    def remove(self) -> None:
        """Remove the socket file, unless another process listens there by now."""
        if not _answers(self.path):
            Path(self.path).unlink(missing_ok=True)

    def _bind(self) -> socket.socket:
        _clear_stale(self.path)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            bound.setblocking(False)
            bound.bind(self.path)
            Path(self.path).chmod(0o600)  # nobody can connect before `listen`, so there is no moment of weakness
        except OSError:
            bound.close()
            raise
        return bound


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"

    async def connect(self, factory: Factory, tls: Tls) -> None:
        """See `UnixAddress.connect`; but encrypted.

        Raises:
            OSError: nobody listens there; `ssl.SSLError` if the two ends do not accept each other.
        """
        await asyncio.get_running_loop().create_connection(
            factory, self.host, self.port, ssl=tls.context, server_hostname=tls.name
        )

    async def listen(self) -> tuple[socket.socket, "TcpAddress"]:
        """A socket that listens, for a `Entrance`, and the real address: it has the port which was chosen.

        Raises:
            OSError: the address is taken, or none of this machine's.
        """
        found = await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        family, _, _, _, where = found[0]
        listening = socket.create_server(where[:2], family=family, backlog=BACKLOG)
        listening.setblocking(False)
        return listening, TcpAddress(self.host, listening.getsockname()[1])

    def remove(self) -> None:
        """Nothing is left behind."""


Address = UnixAddress | TcpAddress


def parse(address: str) -> Address:
    """Read an address.

    Raises:
        ValueError: it has neither form.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "unix" and rest:
        return UnixAddress(rest)
    host, _, port = rest.rpartition(":")
    if scheme == "tcp" and host and port.isdecimal() and int(port) < 2**16:
        return TcpAddress(host.removeprefix("[").removesuffix("]"), int(port))
    raise ValueError(f"{address!r} is neither unix:/path nor tcp:host:port")


def _clear_stale(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "there is a file which is not a socket", path)
    if _answers(path):
        raise OSError(errno.EADDRINUSE, "another process listens there", path)
    Path(path).unlink(missing_ok=True)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            return True  # its backlog is full, so it has one
        except OSError:
            return False
    return True
