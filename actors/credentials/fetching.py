"""Fetching one small document from a URL that somebody outside may have named."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import aiohttp

from actors.core.url_guard import UrlGuard

FETCH_SECONDS: Final = 10.0
"""From the name to the last byte; calls wait for it."""

MAX_BYTES: Final = 256 * 1024

HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "only1mcp"}
"""The limit of the size counts what arrives."""


class FetchError(OSError):
    """There is no answer. The message says why, and does not repeat the URL, which may hold a secret."""


class Fetched(NamedTuple):
    """An answer, whatever its status; no redirect ever is one."""

    status: int
    body: bytes
    challenges: tuple[str, ...] = ()
    """The values of `WWW-Authenticate`."""


class Fetch(Protocol):
    """Fetches; `GuardedFetch` is one."""

    async def __call__(
        self, url: str, form: Mapping[str, str] | None = None, authorization: str = "", *, json: bytes | None = None
    ) -> Fetched:
        """The answer to a GET, or to a POST of a form or of JSON.

        Raises:
            FetchError: there is none.
        """


class GuardedFetch:
    """Follows no redirect, and connects to public addresses only unless the configuration names the origin.

    The address is judged at the moment it is connected to, after its name was resolved and with no second question in
    between: a name that resolves to something else the next time gains nothing.
    """

    def __init__(
        self, guard: UrlGuard, resolver: aiohttp.abc.AbstractResolver | None = None, seconds: float = FETCH_SECONDS
    ) -> None:
        """`resolver` is the system's, if not given."""
        self._guard = guard
        self._resolver = resolver
        self._seconds = seconds

    async def __call__(
        self, url: str, form: Mapping[str, str] | None = None, authorization: str = "", *, json: bytes | None = None
    ) -> Fetched:
        """See `Fetch`."""
        fault = self._guard.fault(url)
        if fault is not None:
            raise FetchError(f"a URL that it names is not asked: {fault}")
        body = form if json is None else json
        headers = HEADERS if json is None else {**HEADERS, "Content-Type": "application/json"}
        if authorization:
            headers = {**headers, "Authorization": authorization}
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            force_close=True,
            socket_factory=_open_socket if self._guard.is_trusted(url) else self._open_checked,
        )
        try:
            async with (
                asyncio.timeout(self._seconds),
                aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    trust_env=False,
                ) as session,
                session.request(
                    "GET" if body is None else "POST", url, data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                if 300 <= response.status < 400:
                    raise FetchError("it redirects, which is not followed")
                challenges = tuple(response.headers.getall("WWW-Authenticate", ()))
                return Fetched(response.status, await _read(response), challenges)
        except FetchError:
            raise
        except TimeoutError:
            raise FetchError(f"no answer within {self._seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchError(_reason(error)) from None

    def _open_checked(self, address: aiohttp.AddrInfoType) -> socket.socket:
        fault = self._guard.address_fault(str(address[4][0]))
        if fault is not None:
            raise FetchError(f"a URL that it names is not asked: {fault}")
        return _open_socket(address)


def _open_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    return socket.socket(family, kind, protocol)


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        inner = error.os_error
        return str(inner) if isinstance(inner, FetchError) else "it cannot be reached"
    return f"it cannot be read ({type(error).__name__})"


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            raise FetchError(f"more than {MAX_BYTES} bytes")
    return bytes(body)
