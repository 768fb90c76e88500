"""Connections to one HTTP endpoint, kept and used again."""

import socket
from contextlib import AbstractAsyncContextManager
from typing import Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

DNS_SECONDS: Final = 30
"""How long a resolved address is used; a server that moves is found again within it."""

KEEP_ALIVE_SECONDS: Final = 4.0
"""How long an idle connection is used again: uvicorn and Node close theirs after 5 s, and a request that crosses such
an end on its way may have run or not."""

_DEAD_PEER: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""A host that vanished is noticed after a minute: a stream may be silent for hours, and the system's default is two."""


class HttpPool:
    """At most `size` connections; a request beyond them waits for one, unsent.

    No cookies, no redirects, no proxy from the environment: what is sent and where is what was configured.
    """

    def __init__(self, url: str, *, size: int, connect_seconds: float, keep_alive_seconds: float) -> None:
        self.url = URL(url)
        self._size = size
        self._connect_seconds = connect_seconds
        self._keep_alive_seconds = keep_alive_seconds
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Make ready, within the running loop; connections are made when they are needed. Safe to repeat."""
        if self._session is not None:
            return
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._size,
                keepalive_timeout=self._keep_alive_seconds,
                ttl_dns_cache=DNS_SECONDS,
                socket_factory=_open_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds),
            headers={"User-Agent": "only1mcp"},
            trust_env=False,
        )

    def request(
        self, method: str, headers: CIMultiDict[str], body: bytes | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """One exchange; leaving the context before the body has ended closes its connection.

        Raises:
            RuntimeError: not started, or closed.
            aiohttp.ClientError, OSError, ValueError: see `http_failure.of_error`; also while the body is read.
        """
        if self._session is None:
            raise RuntimeError("the pool is not started")
        return self._session.request(method, self.url, headers=headers, data=body, allow_redirects=False)

    async def close(self) -> None:
        """Close every connection. Safe to repeat."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _open_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    for option, value in _DEAD_PEER.items():
        if hasattr(socket, option):  # macOS has no TCP_KEEPIDLE
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return opened
