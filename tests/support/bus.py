"""Doubles and helpers for the bus: a backend that records, an outlet that keeps, links that come and go with a test."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, settings

from actors.bus.dialer import CallerLink, dial
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.frames import Event, Frame
from actors.bus.keychain import Keychain
from actors.bus.link import LinkSettings
from actors.bus.listener import Listener
from actors.bus.mint import new_link_key
from actors.bus.reader import Reader
from actors.core.call import Call
from actors.core.link_keys import LinkKey, LinkKeys
from actors.core.load import Load
from actors.core.outcome import Outcome, Reply
from actors.core.revisions import Era

SECRET = b"a secret of the whole cluster..."
CALL = Call("tools/call", b'{"name":"echo"}', 30.0, "echo")
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For properties: how long an example takes on a shared machine says nothing about them."""
WAIT_SECONDS = 10.0
"""Long enough never to be reached by a test that passes."""


def link_key(number: int = 1, made_at: float = 0.0) -> LinkKey:
    """A new one; of no other gateway, whatever its number."""
    return new_link_key(number, made_at, datetime.now(UTC))


LINK_KEY = link_key()
RING = LinkKeys((LINK_KEY,))
KEYS = Keychain(RING)
"""Those of every link which is not about keys. Nobody adopts others."""


def exchange_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def reply(text: str) -> Reply:
    return Reply(text.encode(), Era.MODERN)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds; fails after `WAIT_SECONDS`."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110, most conditions have no event of their own
            await asyncio.sleep(0.002)


class RecordingBackend:
    """A handler that keeps what it was told, and does what `on_open` says."""

    def __init__(self, on_open: Callable[[Exchange], None] = lambda _: None) -> None:
        self.exchanges: list[Exchange] = []
        self.origins: list[bytes] = []
        self.cancellations: list[str] = []
        self.answers: list[tuple[int, bytes]] = []
        self.in_flight = 0
        self._on_open = on_open

    def opened(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        exchange.on_cancel = self.cancellations.append
        exchange.on_answer = lambda ask, value: self.answers.append((ask, value))
        self._on_open(exchange)

    def cancelled_origin(self, origin: bytes) -> None:
        self.origins.append(origin)

    def load(self) -> Load:
        return Load(self.in_flight)


class KeepingOutlet:
    """A link's end without a link: keeps the frames, and is as full as it is told to be."""

    def __init__(self) -> None:
        self.writable = True
        self.events: list[Event] = []
        self.outcomes: list[tuple[int, Outcome]] = []
        self.forgotten: list[int] = []
        self.waiting: list[Reader] = []

    def send(self, frame: Frame) -> bool:
        assert isinstance(frame, Event)
        self.events.append(frame)
        return True

    def wait(self, reader: Reader) -> None:
        self.waiting.append(reader)

    def end(self, number: int, outcome: Outcome) -> None:
        self.outcomes.append((number, outcome))

    def forget(self, number: int) -> None:
        self.forgotten.append(number)

    def drain(self) -> None:
        self.writable = True
        waiting, self.waiting = self.waiting, []
        for reader in waiting:
            reader.pump()


@asynccontextmanager
async def listening(
    backend: RecordingBackend,
    *,
    address: str | None = None,
    link: LinkSettings | None = None,
    exchanges: ExchangeSettings | None = None,
    keys: Keychain = KEYS,
) -> AsyncIterator[str]:
    """A listener for `backend`, at a unix socket of its own if no address is given."""
    listener = Listener(keys, backend, backend="git", link_settings=link, exchange_settings=exchanges)
    with tempfile.TemporaryDirectory(prefix="bus") as folder:
        try:
            yield await listener.start(address or f"unix:{Path(folder) / 's'}")
        finally:
            await listener.close()


@asynccontextmanager
async def dialled(
    address: str,
    *,
    link: LinkSettings | None = None,
    on_closed: Callable[[str], None] = lambda _: None,
    keys: Keychain = KEYS,
) -> AsyncIterator[CallerLink]:
    caller = await dial(address, keys, backend="git", settings=link, on_closed=on_closed)
    try:
        yield caller
    finally:
        caller.close()


@asynccontextmanager
async def linked(backend: RecordingBackend, *, link: LinkSettings | None = None) -> AsyncIterator[CallerLink]:
    """A listener and a link to it."""
    async with listening(backend, link=link) as address, dialled(address, link=link) as caller:
        yield caller
