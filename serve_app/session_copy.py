"""An ingress replica's copy of the sessions that live, and what of it the Router has yet to be told."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from actors.core.recent_ends import RecentEnds
from actors.core.session_end import End
from actors.core.session_state import SessionState, is_revoked, newer
from actors.core.tokens.revocations import Credential, Revocations

MAX_STATES: Final = 20_000
"""Sessions kept; those used last stay, and the Router knows the others."""

OnChange = Callable[[bytes, SessionState | None], None]
"""Told the nonce of every session that was opened, changed, or ended (`None`); it must neither raise nor call back."""


class SessionCopy:
    """Keeps the newest state of each session, and never again one that ended.

    Callers pass times from one clock, in seconds.
    """

    def __init__(self, on_change: OnChange, max_states: int = MAX_STATES) -> None:
        self._on_change = on_change
        self._max_states = max_states
        self._states: OrderedDict[bytes, SessionState] = OrderedDict()
        self._users: dict[bytes, Credential] = {}
        """What each session was last used with here: the token it was opened with may have been renewed since."""
        self._ends = RecentEnds(max_states)
        self._untold: dict[bytes, None] = {}
        self._untold_ends: dict[bytes, End | None] = {}
        """With the reason of each of which no Router was told, as far as is known."""

    def __contains__(self, nonce: bytes) -> bool:
        return nonce in self._states

    def __len__(self) -> int:
        return len(self._states)

    def get(self, nonce: bytes) -> SessionState | None:
        """The session, which counts as used by that."""
        state = self._states.get(nonce)
        if state is not None:
            self._states.move_to_end(nonce)
        return state

    def states(self) -> tuple[SessionState, ...]:
        """All of them."""
        return tuple(self._states.values())

    def use(self, nonce: bytes, credential: Credential) -> None:
        """Note that a session, which is there, was used with this."""
        self._users[nonce] = credential

    def revoked(self, revocations: Revocations) -> list[bytes]:
        """The sessions that were opened, or used last, with what is revoked."""
        used = {nonce for nonce, credential in self._users.items() if revocations.covers(credential)}
        return [state.nonce for state in self._states.values() if state.nonce in used or is_revoked(state, revocations)]

    def has_ended(self, nonce: bytes) -> bool:
        """Whether a session is known to have ended a short while ago."""
        return nonce in self._ends

    def adopt(self, state: SessionState, *, told: bool = True) -> None:
        """Go by this state, unless a newer one or its end is known. `told` says that the Router knows it.

        What is known of bindings is kept, see `newer`; if the Router does not know that, it is to be told.
        """
        nonce, known = state.nonce, self._states.get(state.nonce)
        newest = state if known is None else newer(known, state)
        if nonce in self._ends or newest is known:
            return
        self._states[nonce] = newest
        self._states.move_to_end(nonce)
        if not told or newest is not state:
            self._untold[nonce] = None
        if len(self._states) > self._max_states:
            oldest, _ = self._states.popitem(last=False)
            self._untold.pop(oldest, None)
            self._users.pop(oldest, None)
        self._on_change(nonce, newest)

    def end(self, nonce: bytes, now: float, untold: End | None = None) -> None:
        """Go by the end of a session: one that the Router knows of, or one `untold`, for this reason."""
        is_news = nonce not in self._ends
        self._states.pop(nonce, None)
        self._untold.pop(nonce, None)
        self._users.pop(nonce, None)
        self._ends.add(nonce, now)
        if untold is not None:
            self._untold_ends.setdefault(nonce, untold if is_news else None)
        if is_news:
            self._on_change(nonce, None)

    def forget_old(self, now: float) -> None:
        """Let go of what ended long ago, but for what the Router has yet to hear."""
        for nonce in self._untold_ends:
            self._ends.add(nonce, now)
        self._ends.forget_old(now)
        self._untold_ends = {nonce: why for nonce, why in self._untold_ends.items() if nonce in self._ends}

    # --- what the Router has yet to be told ---

    def is_untold(self, nonce: bytes) -> bool:
        """Whether the Router does not know what is known here."""
        return nonce in self._untold

    def untell(self) -> None:
        """The Router that was told everything is gone."""
        self._untold = dict.fromkeys(self._states)
        self._untold_ends = {nonce: self._untold_ends.get(nonce) for nonce in self._ends}

    def untold(self, most: int) -> tuple[tuple[SessionState, ...], tuple[bytes, ...]]:
        """States and ends to tell, at most so many of each."""
        states = tuple(self._states[nonce] for nonce in islice(self._untold, most))
        return states, tuple(islice(self._untold_ends, most))

    def reasons(self, ended: Iterable[bytes]) -> dict[bytes, End]:
        """Why sessions ended, as far as no Router was told of it."""
        found = {nonce: self._untold_ends.get(nonce) for nonce in ended}
        return {nonce: why for nonce, why in found.items() if why is not None}

    def note_told(self, states: tuple[SessionState, ...], ended: tuple[bytes, ...]) -> None:
        """The Router has heard this."""
        for state in states:
            if self._states.get(state.nonce) is state:  # else it was changed meanwhile, and that was not told
                self._untold.pop(state.nonce, None)
        for nonce in ended:
            self._untold_ends.pop(nonce, None)
