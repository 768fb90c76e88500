"""Where a server's tokens come from, found out once and believed for a while."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from actors.core import jsonrpc
from actors.core.oauth.challenge import NONE, Challenge, read_challenge
from actors.credentials.discovery import Discovery, TokenPlace
from actors.credentials.fetching import Fetch

PLACE_SECONDS: Final = 3600.0
"""How long it is believed where tokens are asked for; a refusal ends it, too."""


class Whereabouts:
    """Of one server. `clock` is monotonic, in seconds."""

    def __init__(
        self, discovery: Discovery, fetch: Fetch, server_url: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._discovery = discovery
        self._fetch = fetch
        self._server_url = server_url
        self._clock = clock
        self._challenge = NONE
        self._place: tuple[TokenPlace, float] | None = None
        self._finding = asyncio.Lock()

    async def place(self) -> TokenPlace:
        """See `Discovery.find`; whoever asks meanwhile waits for the same.

        Raises:
            CredentialError: nobody says where, or not in a form that can be trusted.
            OSError: somebody could not be asked.
        """
        async with self._finding:
            now = self._clock()
            if self._place is None or now >= self._place[1]:
                if self._challenge is NONE:
                    await self._ask_server()
                self._place = await self._discovery.find(self._challenge), now + PLACE_SECONDS
            return self._place[0]

    async def fresh_place(self) -> TokenPlace:
        """The same, asked anew, and first of all the server.

        Raises:
            CredentialError, OSError: as above.
        """
        if self._challenge is not NONE:
            await self._ask_server()
        self._place = None
        return await self.place()  # which asks it if it has said nothing yet

    def forget(self) -> None:
        """Ask anew the next time."""
        self._place = None

    def heard(self, challenge: Challenge) -> None:
        """The server has refused a request for want of a token, and may have said more."""
        said = Challenge(
            challenge.resource_metadata or self._challenge.resource_metadata,
            challenge.scopes or self._challenge.scopes,
        )
        if said != self._challenge:
            self._challenge, self._place = said, None

    async def _ask_server(self) -> None:
        """What it says to whoever has no token says where to look."""
        with suppress(OSError):
            answer = await self._fetch(self._server_url, json=jsonrpc.request(1, "ping", b"{}"))
            if answer.status == 401:
                self.heard(read_challenge(answer.challenges))
