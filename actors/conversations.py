"""Which conversation with the server a call belongs to: the one everybody shares, or one opened on demand."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, Protocol

import structlog

from actors.conversation import Connect, ConnectAs
from actors.core.call import Call
from actors.core.conversation_key import ConversationKey, key_of
from actors.core.endpoints import StdioEndpoint
from actors.core.outcome import Failure, FailureKind
from actors.core.settings import BackendSettings, Isolation
from actors.private_conversation import PrivateConversation
from actors.running_call import RunningCall
from actors.supervisor import Supervisor
from actors.upstream.upstream import Upstream
from actors.watchers import Watchers

CLOSE_SECONDS: Final = 20.0
"""For all of them together; a transport takes a few seconds at the most."""

log = structlog.get_logger()


class Host(Protocol):
    """A conversation, as calls and subscriptions see it."""

    @property
    def watchers(self) -> Watchers:
        """Who hears of updates of resources in it."""

    def carry(self, call: RunningCall, seconds: float) -> None:
        """Send a call, as soon as that can be; it is given up after so many seconds."""

    def drop(self, call: RunningCall) -> None:
        """Let go of a call that is over."""


class Claim(NamedTuple):
    """A conversation that is not closed for being idle before it is released."""

    host: Host
    release: Callable[[], None]
    """Called once."""


class Conversations:
    """All conversations of one replica, the shared one and the private ones. `dice` gives numbers from 0 up to 1.

    A private one is closed when nobody has had a claim to it for a while, and the longest idle one when there is no
    room for another. `connect_as` opens the private ones, where each principal has credentials of their own: nobody's
    call goes into the shared one then.
    """

    def __init__(
        self,
        settings: BackendSettings,
        connect: Connect,
        shared: Supervisor,
        *,
        dice: Callable[[], float],
        connect_as: ConnectAs | None = None,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._connect_as = connect_as
        self._shared = shared
        self._whole = Claim(shared, _nothing)
        self._dice = dice
        self._slots = asyncio.Semaphore(settings.max_conversations)
        self._private: dict[ConversationKey, PrivateConversation] = {}
        self._claims: dict[PrivateConversation, int] = {}
        self._idle: OrderedDict[PrivateConversation, asyncio.TimerHandle] = OrderedDict()
        """Those without a claim, the longest idle first."""
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many are private."""
        return len(self._private)

    def key_of(self, call: Call) -> ConversationKey | None:
        """Whose conversation a call belongs to; nothing is everybody's, as long as nothing is known of the server."""
        facts = self._shared.facts
        if facts is None:
            return None
        auth = self._settings.auth
        # a server that keeps nothing still must not take one principal for another
        stateful = isinstance(self._settings.endpoint, StdioEndpoint) or (auth is not None and auth.is_per_principal)
        return key_of(self._settings.isolation, facts.era, call, stateful=stateful)

    def absence(self, key: ConversationKey | None) -> Failure | None:
        """Why a conversation is not there, and cannot be opened now; nothing if it is or can be."""
        return None if key in self._private else self._shared.absence()

    def server_of(self, key: ConversationKey | None) -> Upstream | None:
        """The adapter to the server that has the state of a key's calls; nothing if there is none now.

        Where the server is everybody's, so is its state, even if some have conversations of their own.
        """
        if key is None or self._settings.isolation is Isolation.SHARED:
            return self._shared.upstream
        conversation = self._private.get(key)
        return None if conversation is None else conversation.upstream

    def crowding(self, key: ConversationKey | None) -> Failure | None:
        """Why there is no room for a conversation; nothing if there is, or can be made."""
        limit = self._settings.max_conversations
        if key is None or key in self._private or self._idle or len(self._private) < limit:
            return None
        detail = f"its {limit} conversations are all in use (`max_conversations`)"
        return Failure(FailureKind.BUSY, self._settings.name, detail, retry_after=1.0)

    def claim(self, key: ConversationKey | None) -> Claim:
        """The conversation of a key, opened if need be; `crowding` has said that there is room."""
        if key is None:
            return self._whole
        conversation = self._private.get(key) or self._open(key)
        self._bustle(conversation)
        self._claims[conversation] = self._claims.get(conversation, 0) + 1
        return Claim(conversation, partial(self._release, conversation))

    def end_session(self, session: bytes) -> None:
        """Close those of a downstream session; what runs in them fails."""
        for conversation in [each for each in self._private.values() if session and each.key.session == session]:
            self._close(conversation)

    def end_principal(self, principal: str) -> None:
        """Close those of a principal; what runs in them fails."""
        for conversation in [each for each in self._private.values() if principal and each.key.principal == principal]:
            self._close(conversation)

    async def close(self) -> None:
        """Close all private ones, within `CLOSE_SECONDS`."""
        for conversation in list(self._private.values()):
            self._close(conversation)
        if self._closing:
            _, late = await asyncio.wait(self._closing, timeout=CLOSE_SECONDS)
            if late:
                log.warning("conversations_not_closed", backend=self._settings.name, count=len(late))

    def _open(self, key: ConversationKey) -> PrivateConversation:
        if len(self._private) >= self._settings.max_conversations:
            self._close(next(iter(self._idle)))
        facts = self._shared.facts
        self._private[key] = conversation = PrivateConversation(
            key,
            self._settings,
            self._connect if self._connect_as is None else self._connect_as(key.principal),
            facts.era if facts is not None else None,
            slots=self._slots,
            over=self._over,
            dice=self._dice,
        )
        return conversation

    def _release(self, conversation: PrivateConversation) -> None:
        self._claims[conversation] -= 1
        if self._claims[conversation]:
            return
        del self._claims[conversation]
        if self._private.get(conversation.key) is conversation:
            seconds = self._settings.conversation_idle_seconds
            self._idle[conversation] = asyncio.get_running_loop().call_later(seconds, self._close, conversation)

    def _bustle(self, conversation: PrivateConversation) -> None:
        idle = self._idle.pop(conversation, None)
        if idle is not None:
            idle.cancel()

    def _close(self, conversation: PrivateConversation) -> None:
        self._over(conversation)
        conversation.close()

    def _over(self, conversation: PrivateConversation) -> None:
        if self._private.get(conversation.key) is conversation:
            del self._private[conversation.key]
            self._closing.add(conversation.life)
            conversation.life.add_done_callback(self._closing.discard)
        self._bustle(conversation)


def _nothing() -> None:
    """The shared conversation is there whoever claims it."""
