"""The channels that are open at one ingress replica."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from serve_app.downstream.channel import Channel, Common
from serve_app.downstream.door import Door
from serve_app.downstream.entrance import Entrance
from serve_app.downstream.outgoing import Write
from serve_app.downstream.standing import Standings

MAX_CHANNELS: Final = 10_000
"""Channels open at once; each costs a connection, too."""

ID_BYTES: Final = 16


class Channels:
    """Opens and finds channels, and sees to what is left to do after each."""

    def __init__(
        self,
        common: Common,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
        *,
        max_channels: int = MAX_CHANNELS,
    ) -> None:
        self._common = common
        self._token_bytes = token_bytes
        self._max_channels = max_channels
        self._open: dict[bytes, Channel] = {}
        self._settling: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def door(self) -> Door:
        """What all that is said comes to."""
        return self._common.door

    @property
    def standings(self) -> Standings:
        """Whose they are, and what else is open here."""
        return self._common.streams.standings

    @property
    def full(self) -> bool:
        """Whether no more can be opened."""
        return self._common.streams.full or len(self._open) >= self._max_channels

    @contextmanager
    def open(self, entrance: Entrance, write: Write) -> Iterator[Channel]:
        """A channel as long as the block lasts; it sends with `write`."""
        channel = Channel(self._token_bytes(ID_BYTES), self._common, entrance, write)
        self._open[channel.id] = channel
        try:
            yield channel
        finally:
            del self._open[channel.id]
            channel.close()
            # a task of its own, because whoever leaves the block may be in the middle of being cancelled
            task = asyncio.create_task(channel.settle())
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def take(self, channel_id: bytes, body: bytes) -> bool:
        """Let a channel take a message of its client; false if it is not open here."""
        channel = self._open.get(channel_id)
        if channel is None:
            return False
        await channel.take(body)
        return True
