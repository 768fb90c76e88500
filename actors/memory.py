"""What the Router knows of the run before, and what it has kept for the next. Without a Store it knows nothing."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog

from actors.core.listing import Facts, Listing
from actors.core.saved import Saved, SavedListing, living
from actors.core.session_book import SessionBook
from actors.core.session_end import End
from actors.core.session_state import SessionState
from actors.core.settings import BackendSettings
from actors.store import Store
from actors.store_file import StoreError

NOTHING: Final = Saved()

FLUSH_LIMIT: Final = 2.0
"""Seconds that the end of the gateway may wait for the disk."""

log = structlog.get_logger()


class Memory:
    """Belongs to the Router. Never waits for the disk, but when it is made."""

    def __init__(self, store: Store | None, wall_clock: Callable[[], float] = time.time) -> None:
        """`wall_clock` is in seconds since 1970."""
        self._store = store
        self._wall_clock = wall_clock
        self._saved = self._load()
        self._listings = dict(self._saved.listings)
        self._kept: dict[str, tuple[BackendSettings, Listing, Facts | None]] = {}
        self._definitions = dict(self._saved.definitions)

    @property
    def lasts(self) -> bool:
        """Whether anything is kept, so that whatever it does not know was never there, or is over."""
        return self._store is not None

    def recall(self, settings: BackendSettings) -> SavedListing | None:
        """What a backend's server had in the run before, if it is the same server; only once."""
        saved = self._listings.pop(settings.name, None)
        if saved is None or not saved.is_of(settings):
            return None
        self._kept[settings.name] = (settings, saved.listing, saved.facts)
        return saved

    def keep(self, settings: BackendSettings, listing: Listing, facts: Facts | None) -> None:
        """Keep what the server of a backend has."""
        if self._store is not None and self._kept.get(settings.name) != (settings, listing, facts):
            self._kept[settings.name] = (settings, listing, facts)
            self._store.save_listing(settings, listing, facts)

    def forget(self, backends: Iterable[str]) -> None:
        """Let go of what these backends had: they were removed."""
        for name in backends:
            self._kept.pop(name, None)
            self._listings.pop(name, None)
            if self._store is not None:
                self._store.forget_listing(name)

    def definitions(self, backend: str) -> Mapping[str, bytes] | None:
        """The digests of the tools of a backend that its owner agreed to, by name; nothing if none ever were."""
        return self._definitions.get(backend)

    def keep_definitions(self, backend: str, digests: Mapping[str, bytes]) -> None:
        """Keep these in place of those; also after the backend is removed, for it may come back."""
        self._definitions[backend] = digests
        if self._store is not None:
            self._store.put_definitions(backend, digests)

    def put_server(self, name: str, source: bytes) -> None:
        """See `Store.put_server`."""
        if self._store is not None:
            self._store.put_server(name, source)

    def remove_server(self, name: str) -> None:
        """See `Store.remove_server`."""
        if self._store is not None:
            self._store.remove_server(name)

    def restore(self, book: SessionBook, idle_seconds: float, now: float) -> None:
        """Tell a new book of the sessions that live, and keep it from here on; `now` is of the book's clock."""
        if self._store is None:
            return
        alive = living(self._saved.sessions, self._wall_clock(), idle_seconds)
        for state, idle in alive:
            book.tell((state,), (), now - idle)
        lives = {state.nonce for state, _ in alive}
        over = [each.state for each in self._saved.sessions if each.state.nonce not in lives]
        for state in over:
            book.on_end(state.nonce, state.owner, End.IDLE)
        self._store.save_sessions((), {state.nonce for state in over})
        self._saved = NOTHING
        book.on_change = self._keep_session
        if alive:
            log.info("sessions_restored", sessions=len(alive))

    def touch_sessions(self, nonces: Iterable[bytes]) -> None:
        """See `Store.touch_sessions`."""
        if self._store is not None:
            self._store.touch_sessions(nonces)

    def flush(self) -> None:
        """Have everything written; waits for the disk."""
        if self._store is not None:
            self._store.flush(FLUSH_LIMIT)

    def _keep_session(self, nonce: bytes, state: SessionState | None) -> None:
        if self._store is None:
            return
        if state is None:
            self._store.save_sessions((), (nonce,))
        else:
            self._store.save_sessions((state,))

    def _load(self) -> Saved:
        if self._store is None:
            return NOTHING
        try:
            return self._store.load()
        except StoreError as error:
            log.warning("state_not_read", reason=str(error))
            return NOTHING
