"""One duplex connection of the bus, as both of its ends see it.

It turns frames into as few writes as it can, authenticates the peer before its owner hears of it, keeps a heartbeat,
and says when to stop writing. What the frames mean is the owner's business.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol, cast

from actors.bus.frames import LENGTH_BYTES, Frame, FrameDecoder, FrameError, Ping, Pong, Refuse, encode
from actors.bus.handshake import Handshake, HandshakeError, NotProven, RefusedByPeer

MAX_STRANGER_FRAME: Final = 256
MAX_STRANGER_BYTES: Final = 512
"""What a peer may send before it has proved itself; the handshake takes less than half."""
CLOSE_SECONDS: Final = 1.0
"""How long a closing link may still flush what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """The limits of a link. Both ends must agree on `max_frame_bytes`."""

    handshake_seconds: float = 5.0
    """From connecting to the end of the handshake."""
    ping_seconds: float = 5.0
    """Silence after which the peer is asked for a sign of life."""
    silence_seconds: float = 15.0
    """Silence after which the peer is taken for dead."""
    max_frame_bytes: int = 32 * 1024 * 1024
    """The largest frame sent or accepted, without its length; above the largest message of any backend."""
    high_water_bytes: int = 1024 * 1024
    """Unsent bytes beyond which `Link.writable` is false."""

    def __post_init__(self) -> None:
        if not 0 < self.ping_seconds < self.silence_seconds:
            raise ValueError("ping_seconds must be positive and less than silence_seconds")


class LinkOwner(Protocol):
    """Who hears what happens on a link. None of these may block or raise."""

    def link_ready(self) -> None:
        """The peer has proved itself. Called once, before any frame."""

    def link_received(self, frame: Frame) -> None:
        """A frame, neither of the handshake nor of the heartbeat."""

    def link_writable(self) -> None:
        """`Link.writable` is true again."""

    def link_lost(self, reason: str) -> None:
        """Nothing is sent or received any more. Called once, also after `close`; the reason is for people."""


class Link(asyncio.Protocol):
    """One end of a connection. All methods belong to the event loop which it was made in."""

    def __init__(self, owner: LinkOwner, handshake: Handshake, settings: LinkSettings) -> None:
        self.disconnected: asyncio.Future[None]
        """Done when the connection itself is gone, at most `CLOSE_SECONDS` after `close`."""
        self._owner = owner
        self._handshake = handshake
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self.disconnected = self._loop.create_future()
        self._decoder = FrameDecoder(MAX_STRANGER_FRAME)
        self._transport: asyncio.Transport | None = None
        self._ready = False
        self._closed = False
        self._paused = False
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._flush_due = False
        self._stranger_bytes = 0
        self._heard_at = self._beat_due_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ready(self) -> bool:
        """Whether the peer has proved itself; stays true when the link is lost."""
        return self._ready

    @property
    def closed(self) -> bool:
        """Whether the link is lost, or was closed."""
        return self._closed

    @property
    def writable(self) -> bool:
        """Whether the peer reads as fast as we write. Whoever may hold back should, until `link_writable`."""
        return self._ready and not self._paused and not self._closed

    def send(self, frame: Frame) -> bool:
        """Send a frame with all others of this turn of the loop; false if it is over the limit or the link is lost."""
        if self._closed:
            return False
        data = encode(frame)
        if len(data) > self._settings.max_frame_bytes + LENGTH_BYTES:
            return False
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes >= self._settings.high_water_bytes:
            self._flush()  # not later: the transport must be able to say stop before more piles up
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)
        return True

    def close(self, reason: str) -> None:
        """Flush and close. Safe to repeat."""
        if self._closed:
            return
        self._flush()
        self._lose(reason)
        if self._transport is not None:
            self._transport.close()
            self._timer = self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def abort(self, reason: str) -> None:
        """Close without waiting for the peer. Safe to repeat."""
        self._lose(reason)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)  # what uvloop gives is one, but does not inherit from it
        if self._closed:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._settings.high_water_bytes)
        self._timer = self._loop.call_later(self._settings.handshake_seconds, self._handshake_overdue)
        first = self._handshake.begin()
        if first is not None:
            self.send(first)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._heard_at = self._loop.time()
        try:
            if not self._ready:
                self._admit_bytes(len(data))
            frames = self._decoder.feed(data)
        except FrameError as error:
            self.close(str(error))
            return
        for frame in frames:
            if self._closed:
                return
            if not self._ready:
                self._shake_hands(frame)
            elif type(frame) is Ping:
                self.send(Pong())
            elif type(frame) is not Pong:
                self._owner.link_received(frame)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._paused = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._paused = False
        if self.writable:
            self._owner.link_writable()

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._timer is not None:
            self._timer.cancel()
        self._lose("the peer closed the connection" if error is None else f"the connection broke: {error}")
        if not self.disconnected.done():
            self.disconnected.set_result(None)

    def _flush(self) -> None:
        self._flush_due = False
        if not self._unsent or self._closed or self._transport is None:
            return
        data = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
        self._unsent.clear()
        self._unsent_bytes = 0
        self._transport.write(data)
        if self._paused and self._transport.get_write_buffer_size() > self._unread_limit:
            # later, because whoever is sending now is not prepared to lose the link under its hands
            self._loop.call_soon(self.abort, "the peer does not read")

    @property
    def _unread_limit(self) -> int:
        """Those who heed `writable` add at most a frame to a full link; beyond two, small frames have piled up."""
        return self._settings.high_water_bytes + 2 * self._settings.max_frame_bytes

    def _lose(self, reason: str) -> None:
        if self._closed:
            return
        self._closed = True
        self._unsent.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._owner.link_lost(reason)

    def _admit_bytes(self, size: int) -> None:
        self._stranger_bytes += size
        if self._stranger_bytes > MAX_STRANGER_BYTES:
            raise FrameError("a stranger sent more than a handshake")

    def _shake_hands(self, frame: Frame) -> None:
        try:
            answer = self._handshake.receive(frame)
        except RefusedByPeer as error:
            self.close(f"the peer refused: {error}")
            return
        except NotProven as error:
            self.close(str(error))
            return
        except HandshakeError as error:
            self.send(Refuse(str(error)))
            self.close(str(error))
            return
        if answer is not None:
            self.send(answer)
        if self._handshake.complete:
            self._ready = True
            self._decoder.max_frame_bytes = self._settings.max_frame_bytes
            self._schedule_beat(self._settings.ping_seconds)
            self._owner.link_ready()

    def _handshake_overdue(self) -> None:
        self.abort(f"no proof within {self._settings.handshake_seconds:g} s")

    def _schedule_beat(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._beat_due_at = self._loop.time() + delay
        self._timer = self._loop.call_later(delay, self._beat)

    def _beat(self) -> None:
        settings = self._settings
        now = self._loop.time()
        silent = now - self._heard_at
        # a beat which comes late means that this process stood still, and says nothing of the peer
        stood_still = now - self._beat_due_at > settings.ping_seconds
        if silent >= settings.silence_seconds and not stood_still:
            self.abort(f"the peer was silent for {silent:.1f} s")
            return
        if silent >= settings.ping_seconds:
            self.send(Ping())
        self._schedule_beat(
            min(settings.ping_seconds, max(settings.silence_seconds - silent, settings.ping_seconds / 4))
        )
