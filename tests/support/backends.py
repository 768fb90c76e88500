"""A Backend whose servers are in memory, an ingress with a link to it, and the time it lives in."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from actors.backend import Backend
from actors.bus.attachment import Attachment, LinkLost
from actors.bus.dialer import CallerLink, dial
from actors.bus.frames import Event
from actors.conversation import Connect, ConnectAs
from actors.core.call import Call
from actors.core.endpoints import StdioEndpoint
from actors.core.membership import ReplicaKey
from actors.core.outcome import Outcome
from actors.core.resource_updates import LISTEN
from actors.core.settings import BackendSettings
from actors.credentials.consents import Consents
from actors.transports.memory import MemoryTransport
from tests.support.bus import KEYS, exchange_id
from tests.support.control_plane import RecordingRouter
from tests.support.hand_clock import HandClock
from tests.support.hand_timers import HandTimers
from tests.support.recorder import LIMIT
from tests.support.upstreams import TableServer, tool_call

KEY = ReplicaKey("git", 0)


class HeldTransport(MemoryTransport):
    """Closes no sooner than it may."""

    def __init__(self, may_close: asyncio.Event, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._may_close = may_close
        self.is_closed = False

    async def close(self) -> None:
        await self._may_close.wait()
        await super().close()
        self.is_closed = True


class World:
    """A Backend, its server, and an ingress with a link to it.

    `server` answers every conversation, or says why it cannot be reached; or `fresh` makes a server for each, or
    `transports` a transport to a real one, and `transports_as` one for a principal, who agrees by way of `consents`.
    `placing` is its weight and zone. With `moves_timers` the limits of calls are over when `timers` are told to go off.
    """

    def __init__(
        self,
        server: Any,
        address: str,
        *,
        fresh: Callable[[], TableServer] | None = None,
        transports: Connect | None = None,
        transports_as: ConnectAs | None = None,
        consents: Consents | None = None,
        beat_seconds: float = 5.0,
        placing: Mapping[str, Any] | None = None,
        moves_timers: bool = False,
        **settings: Any,
    ) -> None:
        self.clock = HandClock()
        self.timers = HandTimers()
        self.router = RecordingRouter()
        self.may_close = asyncio.Event()
        """Cleared, every transport that is being closed waits for it."""
        self.may_close.set()
        self.transports: list[HeldTransport] = []
        self.servers: list[Any] = []
        """The server behind each transport; the first is the one that everybody shares."""
        self.link: CallerLink
        self.server = server
        self._fresh = fresh
        self._ids = count(1)
        self.backend = Backend(
            BackendSettings(**{"name": "git", "endpoint": StdioEndpoint(command="git-mcp"), **settings}),
            KEY,
            epoch="e1",
            node="n1",
            keys=KEYS,
            addresses=(address, "tcp:127.0.0.1:0"),
            router=self.router,
            connect=transports or self._connect,
            connect_as=transports_as,
            consents=consents,
            clock=self.clock,
            call_later=self.timers if moves_timers else None,  # type: ignore[arg-type]
            dice=lambda: 0.0,
            beat_seconds=beat_seconds,
            **(placing or {}),
        )

    def _connect(self, _: BackendSettings) -> HeldTransport:
        server = self._fresh() if self._fresh is not None else self.server
        self.servers.append(server)
        answers: dict[str, Any] = {"server": server} if callable(server) else {"refuses": server}
        self.transports.append(HeldTransport(self.may_close, **answers))
        return self.transports[-1]

    def open(self, **fields: Any) -> Attachment:
        """Open a call over the link."""
        return self.link.open(tool_call(**fields), exchange_id(next(self._ids)))

    async def call(self, **fields: Any) -> Outcome:
        """Open a call and wait for its outcome."""
        return await outcome_of(self.open(**fields))

    def listen(self, *uris: str, **fields: Any) -> Attachment:
        """Open a subscription to resources."""
        params = json.dumps({"resourceSubscriptions": uris}).encode()
        return self.link.open(Call(LISTEN, params, LIMIT, **fields), exchange_id(next(self._ids)))

    async def dial(self) -> CallerLink:
        """Another link."""
        return await dial(self.backend.status().address, KEYS, backend="git")


async def event_of(attachment: Attachment) -> Event:
    """Wait for the next event of a call, and let another come."""
    async with asyncio.timeout(LIMIT):
        item = await attachment.next()
    assert isinstance(item, Event), item
    return item


async def outcome_of(attachment: Attachment) -> Outcome:
    """Wait for what became of a call, whatever it told before."""
    async with asyncio.timeout(LIMIT):
        while isinstance(item := await attachment.next(), Event):
            continue
    assert not isinstance(item, LinkLost)
    return item


@asynccontextmanager
async def backend_to(server: Any = None, *, begin: bool = True, **options: Any) -> AsyncIterator[World]:
    """A Backend that has begun, and a link to it."""
    with tempfile.TemporaryDirectory(prefix="be") as folder:
        world = World(server, f"unix:{Path(folder) / 's'}", **options)
        async with AsyncExitStack() as stack:
            if begin:
                await asyncio.wait_for(world.backend.begin(), LIMIT)
                world.link = await world.dial()
                stack.callback(world.link.close)
            stack.push_async_callback(world.backend.stop, 0.0)
            yield world
