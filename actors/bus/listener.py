"""The backend's end of the bus: takes links in, and outlives each of them."""

import asyncio
import secrets
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, cast

import structlog

from actors.bus.address import Address, TcpAddress, UnixAddress, parse
from actors.bus.entrance import Entrance
from actors.bus.exchange import ExchangeSettings
from actors.bus.exchanges import Exchanges
from actors.bus.handshake import NONCE_BYTES, WRONG_PROOF, ListenerHandshake
from actors.bus.keychain import Keychain
from actors.bus.link import CLOSE_SECONDS, LinkSettings
from actors.bus.refusals import Refusals
from actors.bus.served_link import Handler, ServedLink
from actors.core.link_keys import LinkKey
from actors.core.link_refusal import LinkRefusal, Refused

log = structlog.get_logger()

MAX_STRANGERS: Final = 64
"""Connections of the same node which have yet to prove themselves; more are closed at once, before a byte is read."""
ENVELOPE_BYTES: Final = 4096
"""Room in a frame for all but its payload."""


def _nobody(_why: LinkRefusal) -> None:
    """The default of `on_refused`."""


class Listener:
    """Listens for ingress replicas on behalf of one backend replica, and holds its exchanges.

    `keys` are those that callers may come with, now and later; who comes from another node has to show a certificate
    before anything else. `nonces` gives as many random bytes as it is asked for.
    """

    def __init__(
        self,
        keys: Keychain,
        handler: Handler,
        *,
        backend: str,
        link_settings: LinkSettings | None = None,
        exchange_settings: ExchangeSettings | None = None,
        nonces: Callable[[int], bytes] = secrets.token_bytes,
        on_refused: Callable[[LinkRefusal], None] = _nobody,
    ) -> None:
        """`on_refused` hears of each connection that was not taken for a link, and why."""
        self._keys = keys
        self._handler = handler
        self._backend = backend
        self._link_settings = link_settings or LinkSettings()
        self._settings = exchange_settings or ExchangeSettings()
        self._nonces = nonces
        self._exchanges: Exchanges | None = None
        self._addresses: list[tuple[asyncio.Server | Entrance, Address]] = []
        self._links: set[ServedLink] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._leaving = False
        self._closing = False
        self._refusals = Refusals(backend, lambda: asyncio.get_running_loop().time(), on_refused)

    @property
    def refused(self) -> Refused:
        """Connections that were not taken for links."""
        return self._refusals.counts

    async def start(self, address: str) -> str:
        """Listen at `unix:/path` or `tcp:host:port`, where port 0 lets the system choose; the real address.

        May be called again for another address. A unix socket is for this user only, and takes the place of one that
        a dead process left behind.

        Raises:
            OSError: the address is taken, or cannot be had.
            ValueError: it is not an address.
        """
        wanted = parse(address)
        loop = asyncio.get_running_loop()
        if self._exchanges is None:
            limit = self._link_settings.max_frame_bytes - ENVELOPE_BYTES
            self._exchanges = Exchanges(self._backend, self._settings, max_data_bytes=limit, clock=loop.time)
            self._schedule_sweep(loop, self._exchanges)
        exchanges = self._exchanges
        server: asyncio.Server | Entrance
        real: Address
        match wanted:
            case UnixAddress():
                server, real = await wanted.listen(lambda: self._accept(exchanges))
            case TcpAddress():
                listening, real = await wanted.listen()
                server = self._entrance(listening, exchanges)
        self._addresses.append((server, real))
        log.info("bus_listening", backend=self._backend, address=str(real))
        return str(real)

    def leave(self) -> None:
        """Tell every caller to open nothing new here, those that come from now on, too. Safe to repeat.

        What was opened before may still arrive, and goes to the handler. Exchanges go on, and are attached to as ever.
        """
        self._leaving = True
        for served in self._links:
            self._ready(served)

    async def parted(self) -> None:
        """After `leave`, wait until no call is under way to here, and every outcome that is read has arrived.

        Each caller is waited for as long as a link to it would be held: not if it is gone, and for `silence_seconds` in
        all. On a machine with much to do an answer may take seconds; what is opened after the limit gets `LinkLost`.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._link_settings.silence_seconds):
                while staying := [each for each in self._links if each.link.ready and not each.parted.is_set()]:
                    await staying[0].parted.wait()

    async def close(self) -> None:
        """Stop listening and close every link, within `CLOSE_SECONDS` and a little. Exchanges are not finished."""
        self._closing = True
        for server, address in self._addresses:
            server.close()
            address.remove()
        self._addresses.clear()
        if self._sweep is not None:
            self._sweep.cancel()
        closing = [served.link for served in self._links]
        for link in closing:
            link.close("the backend is stopping")
        if closing:
            await asyncio.wait([link.disconnected for link in closing], timeout=2 * CLOSE_SECONDS)

    def _entrance(self, listening: socket.socket, exchanges: Exchanges) -> Entrance:
        def admit(connection: ssl.SSLObject) -> asyncio.Protocol | None:
            key = self._keys.chosen(connection)
            return None if key is None else self._link(exchanges, (key,))

        return Entrance(
            listening,
            self._keys.listening(),
            self._link_settings.handshake_seconds,
            admit=admit,
            refused=self._refusals.note,
        )

    def _accept(self, exchanges: Exchanges) -> asyncio.Protocol:
        """Somebody comes from the same node."""
        if sum(not served.link.ready for served in self._links) >= MAX_STRANGERS:
            self._refusals.note(LinkRefusal.CROWD, "too many connections that have yet to prove themselves")
            return _TurnedAway()
        return self._link(exchanges, self._keys.keys.keys)

    def _link(self, exchanges: Exchanges, keys: Sequence[LinkKey]) -> asyncio.Protocol:
        handshake = ListenerHandshake({key.number: key.secret for key in keys}, self._nonces(NONCE_BYTES))
        served = ServedLink(
            self._backend, exchanges, self._handler, handshake, self._link_settings, self._ready, self._lost
        )
        self._links.add(served)
        return served.link

    def _ready(self, served: ServedLink) -> None:
        if self._leaving and served.link.ready:
            served.leave()

    def _lost(self, served: ServedLink, reason: str) -> None:
        self._links.discard(served)
        if not (served.link.ready or self._closing):
            self._refusals.note(LinkRefusal.KEY if reason == WRONG_PROOF else LinkRefusal.HANDSHAKE, reason)

    def _close_outdated(self) -> None:
        """Close the links that were opened with a key that is accepted no longer; exchanges are attached to again."""
        keys = self._keys.keys
        for served in [each for each in self._links if each.link.ready and not keys.has(each.key_number)]:
            served.link.close("its key is accepted no longer")

    def _schedule_sweep(self, loop: asyncio.AbstractEventLoop, exchanges: Exchanges) -> None:
        exchanges.expire()
        self._close_outdated()
        self._sweep = loop.call_later(self._settings.keep_seconds / 2, self._schedule_sweep, loop, exchanges)


class _TurnedAway(asyncio.Protocol):
    """One stranger too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        cast(asyncio.Transport, transport).abort()
