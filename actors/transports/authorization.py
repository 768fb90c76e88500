"""Requests that carry a token which is not known beforehand, and may have to be another one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

import aiohttp
from multidict import CIMultiDict

from actors.transports.http_pool import HttpPool

HEADER: Final = "Authorization"

REFUSALS: Final = frozenset({401, 403})


class CredentialError(OSError):
    """There is no token, or the server does not take it. The message is for callers, and holds no secret."""


class ConsentError(CredentialError):
    """There is no token for this user, who must first let the gateway act for them. Nothing was sent."""


class Credential(Protocol):
    """Who the gateway is, or acts for, to one server."""

    async def authorization(self) -> str:
        """The value of the header; empty for none.

        Raises:
            CredentialError: there is none.
        """

    def refused(self, authorization: str, status: int, challenges: Sequence[str], *, again: bool) -> bool:
        """The server has refused a request with this value; whether another value may do better.

        `challenges` are the values of `WWW-Authenticate`; `again` says that this was the second attempt.

        Raises:
            CredentialError: it was refused for want of authorization, and that is the end of it.
        """


class AuthorizedPool(HttpPool):
    """A pool whose requests carry what a credential gives. One that is refused is sent once more with another token,
    and never a third time; a server that refuses has not run it."""

    def __init__(
        self, url: str, *, size: int, connect_seconds: float, keep_alive_seconds: float, credential: Credential
    ) -> None:
        super().__init__(url, size=size, connect_seconds=connect_seconds, keep_alive_seconds=keep_alive_seconds)
        self._credential = credential

    def request(
        self, method: str, headers: CIMultiDict[str], body: bytes | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """See `HttpPool.request`; also raises `CredentialError`."""
        return self._authorized(method, headers, body)

    @asynccontextmanager
    async def _authorized(
        self, method: str, headers: CIMultiDict[str], body: bytes | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        for again in (False, True):
            authorization = await self._credential.authorization()
            if authorization:
                headers[HEADER] = authorization
            else:
                headers.pop(HEADER, None)
            async with super().request(method, headers, body) as response:
                if response.status not in REFUSALS or not self._credential.refused(
                    authorization, response.status, response.headers.getall("WWW-Authenticate", ()), again=again
                ):
                    yield response
                    return
