"""A conversation with a server that only one session or one principal takes part in, opened when it is needed."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from actors.conversation import Connect, Conversation
from actors.core.backoff import Backoff
from actors.core.conversation_key import ConversationKey
from actors.core.outcome import Failure, FailureKind
from actors.core.revisions import Era
from actors.core.settings import BackendSettings
from actors.running_call import RunningCall
from actors.upstream.asking import UpstreamError
from actors.upstream.upstream import Upstream
from actors.watchers import Watchers

BACKOFF: Final = Backoff(first=0.5, factor=2.0, cap=30.0)
"""Between two starts for the sake of subscriptions alone; a call does not wait for it."""

_UNAUTHORIZED: Final = frozenset({FailureKind.UNAUTHORIZED, FailureKind.CONSENT})
"""Told as they are: it is not the server that is not there."""

CLOSED: Final = "the conversation was closed"

log = structlog.get_logger()


class PrivateConversation:
    """Takes calls before it is open. Once it is lost it is over, unless somebody still wants it.

    `slots` bounds how many there are at once, those that are still closing included. `over` is called when it takes no
    more calls, perhaps twice; `dice` gives numbers from 0 up to 1.
    """

    def __init__(
        self,
        key: ConversationKey,
        settings: BackendSettings,
        connect: Connect,
        era: Era | None,
        *,
        slots: asyncio.Semaphore,
        over: Callable[["PrivateConversation"], None],
        dice: Callable[[], float],
    ) -> None:
        self.key: Final = key
        self.watchers: Final = Watchers()
        self._settings = settings
        self._connect = connect
        self._era = era
        self._slots = slots
        self._over = over
        self._dice = dice
        self._conversation: Conversation | None = None
        self._upstream: Upstream | None = None
        self._waiting: dict[bytes, tuple[RunningCall, float]] = {}
        self._wanted = asyncio.Event()
        self.life: Final = asyncio.get_running_loop().create_task(self._live())
        """Done when it is over and closed."""

    @property
    def upstream(self) -> Upstream | None:
        """The adapter to its server; nothing while it is not open, or was lost a moment ago."""
        is_lost = self._conversation is None or self._conversation.last_words is not None
        return None if is_lost else self._upstream

    def carry(self, call: RunningCall, seconds: float) -> None:
        """Send a call, as soon as it is open; the call is given up after so many seconds."""
        if (upstream := self.upstream) is not None:
            call.start(upstream, seconds)
        else:
            self._waiting[call.id] = call, seconds
            self._wanted.set()
            call.wait(seconds)

    def drop(self, call: RunningCall) -> None:
        """Let go of a call that is over."""
        self._waiting.pop(call.id, None)

    def close(self) -> None:
        """End it, with the calls in it; `life` is done when it is closed, within a few seconds."""
        if not self.life.cancelling():
            self.life.cancel()

    @property
    def _is_wanted(self) -> bool:
        return bool(self._waiting or self.watchers)

    async def _live(self) -> None:
        waits = 0
        try:
            while self._is_wanted or not waits:
                async with (
                    self._slots,
                    Conversation(self._settings, self._connect, self.watchers.heard) as conversation,
                ):
                    self._conversation = conversation
                    opened = await self._serve(conversation)
                    if not self._is_wanted:
                        self._over(self)  # before it is closed, so that the next call opens another at once
                        return
                waits = 1 if opened else waits + 1
                if not self._waiting:
                    await self._pause(BACKOFF.delay(waits - 1, self._dice()))
        finally:
            self._over(self)
            self._refuse_waiting(CLOSED)

    async def _serve(self, conversation: Conversation) -> bool:
        """Open it and follow it to its end; gives whether it was open."""
        opened, kind = False, FailureKind.UNAVAILABLE
        try:
            async with asyncio.timeout(self._settings.start_timeout):
                upstream = await self._open(conversation)
            log.info("private_conversation_opened", backend=self._settings.name)
            opened = True
            self._begin(upstream)
            reason = await conversation.lost()
        except TimeoutError:
            reason = f"not ready within {self._settings.start_timeout:g} s"
        except (OSError, UpstreamError) as error:
            reason = conversation.last_words or str(error)
            if isinstance(error, UpstreamError) and error.kind in _UNAUTHORIZED:
                kind = error.kind
        except Exception:  # a bug in one conversation must not end the others, or this one's calls without a word
            log.exception("conversation_failed", backend=self._settings.name)
            reason = "the gateway failed while it spoke with it; see its log"
        finally:
            self._upstream = None
            self.watchers.follow(None)
        log.info("private_conversation_lost", backend=self._settings.name, reason=reason)
        if not opened:
            self._refuse_waiting(reason, kind)
        return opened

    async def _open(self, conversation: Conversation) -> Upstream:
        try:
            return await conversation.open(self._era, self.key.capabilities)
        except UpstreamError as error:
            if not error.answered or error.kind in _UNAUTHORIZED:
                raise
            # a server that is started anew for each conversation may have been replaced by one of the other era
            return await conversation.open(None, self.key.capabilities)

    def _begin(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.watchers.follow(upstream)
        waiting, self._waiting = self._waiting, {}
        for call, seconds in waiting.values():
            call.start(upstream, seconds)

    def _refuse_waiting(self, reason: str, kind: FailureKind = FailureKind.UNAVAILABLE) -> None:
        waiting, self._waiting = self._waiting, {}
        for call, _ in waiting.values():
            call.finished(Failure(kind, self._settings.name, reason))

    async def _pause(self, seconds: float) -> None:
        self._wanted.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
