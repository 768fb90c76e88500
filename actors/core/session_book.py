"""Which downstream sessions live, as the Router keeps them.

Callers pass times from one clock, in seconds, that never goes back. An ended session never comes back.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice, takewhile
from types import MappingProxyType
from typing import Final

from actors.core.recent_ends import RecentEnds
from actors.core.session_end import End
from actors.core.session_state import Change, SessionNews, SessionState, changed, is_revoked, merged
from actors.core.settings import MAX_SESSIONS
from actors.core.tokens.revocations import Revocations

MAX_CHANGES: Final = 4096
"""Sessions whose last change is remembered for those who follow; who is further behind must ask for each."""

MAX_NEWS: Final = 1000
"""Sessions in one answer, so that none takes long; who asks again gets the next."""

NO_REASONS: Final[Mapping[bytes, End]] = MappingProxyType({})


class Opening(Enum):
    """What became of the wish for a session: true if there is one now."""

    OPENED = "opened"
    FULL = "full"
    """The gateway has too many, or this very one has ended."""
    OVER_QUOTA = "over_quota"
    """Its principal has as many as may be."""

    def __bool__(self) -> bool:
        return self is Opening.OPENED


@dataclass(slots=True)
class _Entry:
    state: SessionState
    seen_at: float


class SessionBook:
    """Owns the sessions: opens, changes and ends them, and tells what happened since a version.

    A limit never ends a session of anyone but the owner who reached it.
    """

    def __init__(
        self,
        *,
        idle_seconds: float,
        max_sessions: int,
        max_total: int = MAX_SESSIONS,
        max_changes: int = MAX_CHANGES,
    ) -> None:
        """`max_sessions` holds for each owner, `max_total` for all together."""
        self._idle_seconds = idle_seconds
        self._max_sessions = max_sessions
        self._max_total = max_total
        self._max_changes = max_changes
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        """Longest unused first; so are the nonces of each owner."""
        self._owned: dict[str, OrderedDict[bytes, None]] = {}
        self._of_principal: Counter[str] = Counter()
        """How many sessions each has, at all endpoints."""
        self._ends = RecentEnds()
        self._changes: OrderedDict[bytes, int] = OrderedDict()
        """The version of each session's last change, in order."""
        self._forgotten = 0
        """The version up to which changes are remembered no longer."""
        self.version = 0
        """The number of changes so far."""
        self.on_change: Callable[[bytes, SessionState | None], None] = _ignore
        """Told of each change: a nonce, and the session as it is now, or nothing if it has ended."""
        self.on_end: Callable[[bytes, str, End], None] = _ignore_end
        """Told once of each session that ends, and why: its nonce, and its owner, empty if that is not known here."""

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, state: SessionState, now: float, most: int | None = None) -> Opening:
        """Add a session; those of its owner that were unused for longest make room.

        `most` is the quota of its principal, whom none of the sessions he has makes room for another.
        """
        principal = _principal(state.owner)
        if most is not None and state.nonce not in self._entries and self._of_principal[principal] >= most:
            return Opening.OVER_QUOTA
        if state.nonce not in self._ends and state.nonce not in self._entries:
            owned = self._owned.get(state.owner, OrderedDict())
            excess = len(owned) + 1 - self._max_sessions
            if len(self._entries) >= self._max_total:
                excess = max(excess, 1)
            self.end(list(islice(owned, max(excess, 0))), now, End.LIMIT)
        return Opening.OPENED if self._admit(state, now) else Opening.FULL

    def tell(
        self,
        states: Iterable[SessionState],
        ended: Iterable[bytes],
        now: float,
        reasons: Mapping[bytes, End] = NO_REASONS,
    ) -> None:
        """Learn what somebody knew while this book did not: another was before it, or was out of reach.

        An end has a reason if no book was told of it before this one, as far as is known.

        What cannot be taken in becomes news as an end, since whoever told it does not know better. The limit of an
        owner is not looked at until his next opening: among what is told may be ends that others have yet to tell.
        """
        for nonce in ended:
            self.end((nonce,), now, reasons.get(nonce))
        for state in states:
            if not self._admit(state, now):
                if state.nonce not in self._ends:
                    self.on_end(state.nonce, state.owner, End.LIMIT)
                self._ends.add(state.nonce, now)
                self._note(state.nonce)

    def find(self, nonce: bytes) -> SessionState | None:
        """A session that lives."""
        entry = self._entries.get(nonce)
        return None if entry is None else entry.state

    def touch(self, nonces: Iterable[bytes], now: float) -> None:
        """Note that sessions are in use."""
        for nonce in nonces:
            entry = self._entries.get(nonce)
            if entry is not None:
                entry.seen_at = now
                self._entries.move_to_end(nonce)
                self._owned[entry.state.owner].move_to_end(nonce)

    def change(self, nonce: bytes, change: Change) -> None:
        """Change a session, if it is there."""
        entry = self._entries.get(nonce)
        if entry is not None:
            self._put(changed(entry.state, change))

    def end(self, nonces: Iterable[bytes], now: float, why: End | None = None) -> None:
        """End sessions. One that is not known counts as ended, too: it may be told later by somebody who knew it.

        Without a reason `on_end` hears nothing: it was told before, in another book.
        """
        for nonce in nonces:
            entry = self._entries.pop(nonce, None)
            if entry is None and nonce in self._ends:
                continue
            if entry is not None:
                principal = _principal(entry.state.owner)
                self._of_principal[principal] -= 1
                if not self._of_principal[principal]:
                    del self._of_principal[principal]
                owned = self._owned[entry.state.owner]
                del owned[nonce]
                if not owned:
                    del self._owned[entry.state.owner]
            self._ends.add(nonce, now)
            self._note(nonce)
            if why is not None:
                self.on_end(nonce, "" if entry is None else entry.state.owner, why)

    def revoke(self, revocations: Revocations, now: float, among: Iterable[bytes] | None = None) -> int:
        """End the sessions that were opened with what is revoked, of all or `among` these; gives how many."""
        entries = self._entries
        states = [entry.state for entry in entries.values()] if among is None else map(self.find, among)
        over = [state.nonce for state in states if state is not None and is_revoked(state, revocations)]
        self.end(over, now, End.REVOKED)
        return len(over)

    def expire(self, now: float) -> int:
        """End what nobody used for too long; gives how many."""
        limit = now - self._idle_seconds
        idle = [nonce for nonce, _ in takewhile(lambda each: each[1].seen_at <= limit, self._entries.items())]
        self.end(idle, now, End.IDLE)
        self._ends.forget_old(now)
        return len(idle)

    def news(self, generation: str, after: int) -> SessionNews:
        """What happened since version `after`; `generation` is whose news it is."""
        if after < self._forgotten:
            return SessionNews(generation, self.version, reset=True)
        latest = takewhile(lambda each: each[1] > after, reversed(self._changes.items()))
        told: Sequence[tuple[bytes, int]] = list(islice(reversed(list(latest)), MAX_NEWS))
        version = told[-1][1] if told else self.version
        entries = [self._entries.get(nonce) for nonce, _ in told]
        return SessionNews(
            generation,
            version,
            tuple(entry.state for entry in entries if entry is not None),
            tuple(nonce for (nonce, _), entry in zip(told, entries, strict=True) if entry is None),
        )

    def _admit(self, state: SessionState, now: float) -> bool:
        if state.nonce in self._entries:
            self._put(merged(self._entries[state.nonce].state, state))
            return True
        if state.nonce in self._ends or len(self._entries) >= self._max_total:
            return False
        self._entries[state.nonce] = _Entry(state, now)
        self._owned.setdefault(state.owner, OrderedDict())[state.nonce] = None
        self._of_principal[_principal(state.owner)] += 1
        self._note(state.nonce)
        return True

    def _put(self, state: SessionState) -> None:
        entry = self._entries[state.nonce]
        if state != entry.state:
            entry.state = state
            self._note(state.nonce)

    def _note(self, nonce: bytes) -> None:
        self.version += 1
        self._changes[nonce] = self.version
        self._changes.move_to_end(nonce)
        if len(self._changes) > self._max_changes:
            _, self._forgotten = self._changes.popitem(last=False)
        self.on_change(nonce, self.find(nonce))


def _principal(owner: str) -> str:
    """Whose it is, at whatever endpoint; see `Client.account`."""
    return owner.partition("\0")[2] or owner


def _ignore(_nonce: bytes, _state: SessionState | None) -> None:
    """Nobody wants to know."""


def _ignore_end(_nonce: bytes, _owner: str, _why: End) -> None:
    """Nor this."""
