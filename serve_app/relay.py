"""How what a client posts gets to the ingress replica that holds its stream, if another one took it.

Each ingress replica that holds such streams listens on the bus like a backend; the others dial it when they have
something for it. Nothing listens before the first stream.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from actors.bus.dialer import CallerLink, dial
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.keychain import Keychain
from actors.bus.listener import Listener
from actors.core.call import Call
from actors.core.incident import Incident
from actors.core.link_refusal import LinkRefusal
from actors.core.load import Load
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from serve_app.tallying import Note, nowhere

NAME: Final = "ingress"
"""What ingress replicas are called on the bus."""

DELIVER_SECONDS: Final = 10.0
"""How long a message may take to the other replica; it takes longest if it opens a session there."""

IDLE_SECONDS: Final = 60.0
"""An unused link to another ingress replica is closed after so long."""

MAX_LINKS: Final = 64
"""Links to other ingress replicas; one more closes the one longest unused."""

EXCHANGES: Final = ExchangeSettings(keep_seconds=5.0, max_kept=64, max_kept_bytes=1024 * 1024)
"""A message that was taken is of no more interest."""

ID_BYTES: Final = 16

log = structlog.get_logger()

Take = Callable[[bytes, bytes], Awaitable[bool]]
"""Hands a message to the channel of an id in this process; false if there is none."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a channel is."""

    channel: bytes
    """Its id."""
    node: str
    address: str
    """Where its ingress replica listens for those on the same node."""
    remote_address: str | None
    """The same for other nodes; nothing where there are none."""


_encode: Final = msgspec.msgpack.Encoder().encode
_places: Final = msgspec.msgpack.Decoder(Place)


def encode_place(place: Place) -> bytes:
    """As it is sealed."""
    return _encode(place)


def decode_place(payload: bytes) -> Place:
    """The place that `encode_place` made these bytes of."""
    return _places.decode(payload)


class Relay:
    """Delivers messages to channels, here or elsewhere. Belongs to one event loop."""

    def __init__(
        self,
        keys: Keychain,
        node: str,
        addresses: Callable[[], tuple[str, str | None]],
        take: Take,
        *,
        idle_seconds: float = IDLE_SECONDS,
        deliver_seconds: float = DELIVER_SECONDS,
        max_links: int = MAX_LINKS,
        note: Note = nowhere,
    ) -> None:
        """`keys` are those of links; `addresses` gives where to listen, for this node and others if there are any.

        `note` counts the connections that were no links.
        """
        self._keys = keys
        self._node = node
        self._addresses = addresses
        self._take = take
        self._idle_seconds = idle_seconds
        self._deliver_seconds = deliver_seconds
        self._max_links = max_links
        self._note = note
        self._listening: asyncio.Task[tuple[str, str | None]] | None = None
        self._listener: Listener | None = None
        self._lines: dict[str, _Line] = {}
        """By address, longest unused first."""
        self._arriving: set[asyncio.Task[None]] = set()

    @property
    def links(self) -> int:
        """How many links to others there are."""
        return len(self._lines)

    async def place(self, channel_id: bytes) -> Place:
        """Where others find a channel of this process; listens from the first time on.

        Raises:
            OSError: there is no place to listen.
        """
        if self._listening is None or (self._listening.done() and self._listening.exception() is not None):
            self._listening = asyncio.create_task(self._listen())
        return Place(channel_id, self._node, *await asyncio.shield(self._listening))

    async def deliver(self, place: Place, message: bytes) -> bool:
        """Hand a message to a channel; false if it is not there any more, or its replica does not answer."""
        if await self._take(place.channel, message):
            return True
        address = place.address if place.node == self._node else place.remote_address
        if not address or self._is_ours(address):
            return False
        try:
            async with asyncio.timeout(self._deliver_seconds):
                return await self._send(address, place.channel, message)
        except (OSError, ValueError) as error:
            log.info("message_not_delivered", address=address, reason=str(error) or type(error).__name__)
            return False

    async def close(self) -> None:
        """Stop listening, and close every link."""
        for address, line in list(self._lines.items()):
            self._drop(address, line)
        if self._listening is not None:
            self._listening.cancel()
        if self._listener is not None:
            await self._listener.close()

    def opened(self, exchange: Exchange) -> None:
        """See `Handler.opened`: a message for a channel of this process."""
        task = asyncio.create_task(self._arrive(exchange))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    def cancelled_origin(self, origin: bytes) -> None:
        """See `Handler.cancelled_origin`; nothing here is of that kind."""

    def load(self) -> Load:
        """See `Handler.load`."""
        return Load(len(self._arriving))

    async def _listen(self) -> tuple[str, str | None]:
        wanted, remote = self._addresses()
        self._listener = Listener(self._keys, self, backend=NAME, exchange_settings=EXCHANGES, on_refused=self._refused)
        address = await self._listener.start(wanted)
        return address, await self._listener.start(remote) if remote is not None else None

    def _refused(self, why: LinkRefusal) -> None:
        self._note(Incident.LINK_REFUSED, "", why.value)

    def _is_ours(self, address: str) -> bool:
        listening = self._listening
        return (
            listening is not None and listening.done() and not listening.exception() and address in listening.result()
        )

    async def _arrive(self, exchange: Exchange) -> None:
        taken = False
        try:
            taken = await self._take(exchange.call.session, exchange.call.params)
        except Exception:
            log.exception("message_not_taken")
        finally:
            outcome = Reply(b"{}", Era.HANDSHAKE) if taken else Failure(FailureKind.UNAVAILABLE, NAME)
            exchange.finish(outcome)

    async def _send(self, address: str, channel_id: bytes, message: bytes) -> bool:
        line = self._line(address)
        link = await asyncio.shield(line.dialling)
        call = Call("deliver", message, self._deliver_seconds, session=channel_id)
        attachment = link.open(call, secrets.token_bytes(ID_BYTES))
        try:
            return isinstance(await attachment.next(), Reply)
        finally:
            attachment.detach()
            line.rest(self._idle_seconds)

    def _line(self, address: str) -> "_Line":
        line = self._lines.pop(address, None)
        if line is None:
            while len(self._lines) >= self._max_links:
                self._drop(*next(iter(self._lines.items())))
            line = _Line()
            line.begin(self._dial(address, line), lambda: self._drop(address, line))
            line.rest(self._idle_seconds)
        self._lines[address] = line
        return line

    async def _dial(self, address: str, line: "_Line") -> CallerLink:
        try:
            return await dial(address, self._keys, backend=NAME, on_closed=lambda _: self._drop(address, line))
        except BaseException:
            self._drop(address, line)
            raise

    def _drop(self, address: str, line: "_Line") -> None:
        if self._lines.get(address) is line:
            del self._lines[address]
        line.close()


class _Line:
    """One link, or the way to it."""

    dialling: asyncio.Future[CallerLink]

    def __init__(self) -> None:
        self._drop: Callable[[], None]
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def begin(self, dialling: Awaitable[CallerLink], drop: Callable[[], None]) -> None:
        """Dial; `drop` lets go of this line."""
        self._drop = drop
        self.dialling = asyncio.ensure_future(dialling)
        self.dialling.add_done_callback(self._dialled)

    def rest(self, seconds: float) -> None:
        """It was of use just now; if it is not again for so long, let go of it."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expire, seconds)

    def close(self) -> None:
        """Close the link, now or as soon as it is there: who waits for it is told so, not cancelled."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self.dialling.done():
            self._dialled(self.dialling)

    def _dialled(self, dialling: asyncio.Future[CallerLink]) -> None:
        # the exception is looked at in any case: those who waited may be gone, and it would be reported as a bug
        if not dialling.cancelled() and dialling.exception() is None and self._closed:
            dialling.result().close()

    def _expire(self, seconds: float) -> None:
        if not self.dialling.done() or (not self.dialling.exception() and self.dialling.result().in_flight):
            self.rest(seconds)
        else:
            self._drop()
