"""How the Router hears of one replica: of every change at once, and every few seconds that it lives and its load."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from actors.bus.keychain import Keychain
from actors.core.link_refusal import Refused
from actors.core.load import Load
from actors.core.membership import Heard, ReplicaKey, Status
from actors.refs.gone import ActorGone
from actors.refs.router import RouterRef

BEAT_SECONDS: Final = 5.0
"""Between two signs of life to the Router, as long as nobody calls."""

BUSY_BEATS: Final = 5
"""So many in that time while there are calls: the number of replicas goes by their load."""


class Heartbeat:
    """Tells the Router, and hears of new link keys from it.

    Begun and ended once; `seconds` are those between two beats while nobody calls.
    """

    def __init__(
        self,
        router: RouterRef,
        key: ReplicaKey,
        epoch: str,
        status: Callable[[], Status],
        load: Callable[[], Load],
        keys: Keychain,
        *,
        seconds: float = BEAT_SECONDS,
        refused: Callable[[], Refused] = tuple,
    ) -> None:
        """`refused` gives how many connections were no links, by reason."""
        self._router = router
        self._key = key
        self._epoch = epoch
        self._status = status
        self._load = load
        self._keys = keys
        self._seconds = seconds
        self._refused = refused
        self._told = asyncio.Event()
        self._called = False
        """Whether a call has come since the last look."""
        self._life: asyncio.Task[None] | None = None
        self.sequence = 0
        """How many changes there were in this life."""

    @property
    def begun(self) -> bool:
        """Whether `begin` was called."""
        return self._life is not None

    def begin(self) -> None:
        """Tell from now on."""
        self._life = asyncio.get_running_loop().create_task(self._beat())

    def end(self) -> None:
        """Tell no more."""
        if self._life is not None:
            self._life.cancel()

    def changed(self) -> None:
        """There is news."""
        self.sequence += 1
        self._told.set()

    def called(self) -> None:
        """A call has come."""
        self._called = True

    async def _beat(self) -> None:
        """Tell until it is ended. When the calls are over it is told once more at the quick pace."""
        quiet = 0
        was_busy = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds / BUSY_BEATS):
                    await self._told.wait()
            changed = self._told.is_set()
            self._told.clear()
            load = self._load_since()
            quiet = 0 if load.in_flight or was_busy else quiet + 1
            if not changed and 0 < quiet < BUSY_BEATS:
                continue
            quiet, was_busy = 0, load.in_flight > 0
            try:
                await self._tell(load, changed=changed)
            except ActorGone:
                # the Router restarts by itself, and asks for what it does not know at the next beat
                if changed:
                    asyncio.get_running_loop().call_later(self._seconds / BUSY_BEATS, self._told.set)

    async def _tell(self, load: Load, *, changed: bool) -> None:
        if changed:
            await self._router.report(self._status())
        # after a report, too: it says nothing of the load and the breaker
        heard = await self._beat_once(load)
        if not heard.known and not changed:
            await self._router.report(self._status())
        if heard.link_key > self._keys.keys.number:
            self._keys.adopt(await self._router.link_keys())
            await self._beat_once(load)  # nobody dials with it before the Router knows that it is here

    async def _beat_once(self, load: Load) -> Heard:
        number = self._keys.keys.number
        return await self._router.beat(self._key, self._epoch, self.sequence, load, number, self._refused())

    def _load_since(self) -> Load:
        """The load now; but not none if a call has come since the last look: short ones are seldom under way."""
        load, called = self._load(), self._called
        self._called = False
        return msgspec.structs.replace(load, in_flight=1) if called and not load.in_flight else load
