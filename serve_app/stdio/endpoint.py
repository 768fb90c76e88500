"""The gateway's HTTP endpoint, as the bridge sees it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import aiohttp
from multidict import CIMultiDict

from actors.core.outcome import FailureKind
from actors.transports.http_answer import EVENT_STREAM, JSON
from actors.transports.http_failure import LOST, Unanswered, of_error, of_redirect, of_status
from actors.transports.http_pool import HttpPool

CONNECT_SECONDS: Final = 10.0
KEEP_ALIVE_SECONDS: Final = 3.0
"""Below the five seconds after which common servers close an idle connection: a POST into one of those is lost."""
CALLS_AT_ONCE: Final = 256
"""Connections for requests; those beyond them wait for one, unsent."""
SIDE_POOL: Final = 8
"""Connections for what is no request. Were they shared, calls that wait for our answer could keep it from leaving."""
SILENCE_SECONDS: Final = 300.0
"""How long a gateway may say nothing. Ours shows every 15 seconds that a request lives."""
CLOSE_SECONDS: Final = 0.5

TOKEN_VARIABLE: Final = "ONLY1MCP_TOKEN"  # noqa: S105 - the name of a variable
"""Where the credential comes from: not from the command line, which every user of the machine can read."""

WANTED: Final = f"it wants a credential: put a token into {TOKEN_VARIABLE}, or log in: only1mcp login"


class GatewayGone(Exception):  # noqa: N818 - what happened, for the one who asked
    """There is no gateway to ask, and none will come; the message is a sentence without secrets."""


TROUBLES: Final = (GatewayGone, *LOST)
"""What sending a message and reading its answer may raise; `Endpoint.trouble` says what it means."""


async def at_once() -> None:
    """The gateway is there already."""


async def nobody() -> str | None:
    """Nobody is logged in."""
    return None


class Endpoint:
    """Where every message goes. `headers` are sent with each; `ready` is awaited first, and may raise `GatewayGone`.

    `login` gives the access token of the person who is logged in there, and may raise `GatewayGone`, too.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        ready: Callable[[], Awaitable[None]] = at_once,
        login: Callable[[], Awaitable[str | None]] = nobody,
    ) -> None:
        self._headers = CIMultiDict(headers)
        self._ready = ready
        self._login = login
        limits = {"connect_seconds": CONNECT_SECONDS, "keep_alive_seconds": KEEP_ALIVE_SECONDS}
        self._calls = HttpPool(url, size=CALLS_AT_ONCE, **limits)
        self._side = HttpPool(url, size=SIDE_POOL, **limits)

    def start(self) -> None:
        """Make ready, within the running loop."""
        self._calls.start()
        self._side.start()

    @asynccontextmanager
    async def send(
        self, method: str, headers: Mapping[str, str], body: bytes | None = None, *, side: bool
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One HTTP request; leaving the context before the body has ended closes its connection.

        Raises:
            one of `TROUBLES`; also while the body is read.
        """
        await self._ready()
        marked = self._headers.copy()
        token = await self._login()
        if token is not None:
            marked["Authorization"] = f"Bearer {token}"
        marked["Accept"] = f"{JSON}, {EVENT_STREAM}" if method == "POST" else EVENT_STREAM
        if body is not None:
            marked["Content-Type"] = JSON
        marked.update(headers)
        pool = self._side if side else self._calls
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(SILENCE_SECONDS):
                response = await stack.enter_async_context(pool.request(method, marked, body))
            yield response

    async def close(self) -> None:
        """Close every connection."""
        for pool in (self._calls, self._side):
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await pool.close()

    def trouble(self, error: Exception) -> Unanswered:
        """Say what one of `TROUBLES` means."""
        if isinstance(error, GatewayGone):
            return Unanswered(FailureKind.UNAVAILABLE, str(error))
        if type(error) is TimeoutError:  # subclasses are of the HTTP client, and mean a connection
            return Unanswered(FailureKind.TIMEOUT, f"it said nothing for {SILENCE_SECONDS:g} s")
        return of_error(error, self._calls.url)

    def refused(self, response: aiohttp.ClientResponse) -> Unanswered:
        """Say what a status of 300 or more means whose body is no answer."""
        if response.status < 400:
            return of_redirect(response.url, response.headers.get("Location", ""))
        if response.status != 401:
            return of_status(response.status)
        if "Authorization" in self._headers:
            return Unanswered(FailureKind.UNAVAILABLE, f"it refused the token in {TOKEN_VARIABLE}")
        return Unanswered(FailureKind.UNAVAILABLE, WANTED)
