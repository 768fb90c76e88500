"""Peers that misbehave: strangers who write what they like, and authenticated ends without any manners."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from actors.bus.address import UnixAddress
from actors.bus.frames import Frame
from actors.bus.handshake import NONCE_BYTES, CallerHandshake, ListenerHandshake
from actors.bus.link import Link, LinkSettings
from tests.support.bus import LINK_KEY, until


class Stranger(asyncio.Protocol):
    """A peer which writes whatever it likes, and keeps every byte it gets."""

    def __init__(self) -> None:
        self.received = b""
        self.transport: asyncio.Transport
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # what uvloop gives is one, but does not inherit from it

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set_result(None)


async def connect_stranger(address: str) -> Stranger:
    loop = asyncio.get_running_loop()
    _, stranger = await loop.create_unix_connection(Stranger, address.removeprefix("unix:"))
    return stranger


class BareEnd:
    """The owner of a link who knows the secret, keeps what it hears, and sends whatever a test wants."""

    def __init__(self) -> None:
        self.link: Link
        self.heard: list[Frame] = []
        self.lost: list[str] = []

    def link_ready(self) -> None:
        """Nothing to do."""

    def link_received(self, frame: Frame) -> None:
        self.heard.append(frame)

    def link_writable(self) -> None:
        """Nothing to do."""

    def link_lost(self, reason: str) -> None:
        self.lost.append(reason)


class DeafLink(Link):
    """Hears nothing once it is ready, not even a ping."""

    def data_received(self, data: bytes) -> None:
        if not self.ready:
            super().data_received(data)


async def bare_caller(address: str, kind: type[Link] = Link) -> BareEnd:
    """An authenticated link to a listener."""
    end = BareEnd()
    end.link = kind(end, CallerHandshake(LINK_KEY.secret, b"c" * NONCE_BYTES), LinkSettings())
    await UnixAddress(address.removeprefix("unix:")).connect(lambda: end.link)
    await until(lambda: end.link.ready or end.link.closed)
    return end


@asynccontextmanager
async def bare_listener(kind: type[Link] = Link) -> AsyncIterator[tuple[str, list[BareEnd]]]:
    """A listener at the address, and its ends of the links which come."""
    ends: list[BareEnd] = []

    def accept() -> Link:
        end = BareEnd()
        end.link = kind(end, ListenerHandshake({LINK_KEY.number: LINK_KEY.secret}, b"l" * NONCE_BYTES), LinkSettings())
        ends.append(end)
        return end.link

    with tempfile.TemporaryDirectory(prefix="bp") as folder:
        server, address = await UnixAddress(f"{folder}/s").listen(accept)
        try:
            yield str(address), ends
        finally:
            server.close()
            for end in ends:
                end.link.abort("the test is over")


@asynccontextmanager
async def mute_server() -> AsyncIterator[str]:
    """A server that accepts connections and never says a word."""
    taken: list[asyncio.BaseTransport] = []

    class Mute(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            taken.append(transport)

    server = await asyncio.get_running_loop().create_server(Mute, "127.0.0.1", 0)
    try:
        yield f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for transport in taken:
            transport.close()
