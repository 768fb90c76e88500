"""One conversation with a server: its connection, the adapter that speaks over it, and how it ended."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Self

from actors.core.identity import BRIDGED_CAPABILITIES
from actors.core.revisions import Era
from actors.core.settings import BackendSettings
from actors.transports.transport import Transport
from actors.upstream.detect import open_upstream
from actors.upstream.upstream import Notified, Upstream

Connect = Callable[[BackendSettings], Transport]
"""Gives a transport to the server of a backend, not yet connected."""

ConnectAs = Callable[[str], Connect]
"""The same for one principal (`Principal.key`), who is known to the server by credentials of their own."""


class Conversation:
    """Opened once within an `async with`, and closed at its end. `notified` hears what belongs to no call."""

    def __init__(self, settings: BackendSettings, connect: Connect, notified: Notified) -> None:
        self._settings = settings
        self._connect = connect
        self._notified = notified
        self._resources = AsyncExitStack()
        self._ending: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it, and the server if it was started for it, within a few seconds."""
        await self._resources.aclose()

    async def open(self, known: Era | None, capabilities: bytes = BRIDGED_CAPABILITIES) -> Upstream:
        """Connect, speak first, and give the adapter. `known` is the era if the server was spoken to before.

        `capabilities` are declared to a server of the handshake era.

        Raises:
            OSError: the server cannot be started or reached.
            UpstreamError: it is not there, or speaks neither era.
        """
        upstream = await open_upstream(
            self._connected,
            self._settings.name,
            self._notified,
            limit=self._settings.start_timeout,
            known=known,
            capabilities=capabilities,
        )
        self._resources.callback(upstream.stop)
        return upstream

    @property
    def last_words(self) -> str | None:
        """Why it was lost, if it was."""
        return self._ending.result() if self._ending.done() and not self._ending.cancelled() else None

    async def lost(self) -> str:
        """Wait until it is lost, and give the reason. Nobody else may wait for it."""
        return await self._ending

    async def _connected(self) -> Transport:
        await self._resources.aclose()  # an old server may have died of the modern question
        self._ending = ending = asyncio.get_running_loop().create_future()
        transport = self._connect(self._settings)
        transport.closed = partial(_settle, ending)
        self._resources.push_async_callback(transport.close)
        await transport.connect()
        return transport


def _settle(ending: asyncio.Future[str], reason: str) -> None:
    if not ending.done():
        ending.set_result(reason or "it went away")
