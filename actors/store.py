"""The state that outlives the gateway: one SQLite file, written by a thread of its own.

Nobody waits for the disk but who opens, loads, flushes or closes. Everything else is noted and written together, at
most half a second later; of several values for one thing only the latest is written. What a killed process has not
written is lost, and what it has written is whole.
"""

import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from actors.core.listing import Facts, Listing
from actors.core.saved import Saved, SavedListing, SavedServer, SavedSession, digest_of
from actors.core.session_state import SessionState
from actors.core.settings import BackendSettings
from actors.sqlite_file import BrokenFile, ForeignFile, transaction
from actors.store_file import StoreError, connect, move_aside

FLUSH_SECONDS: Final = 0.5
"""How long what was noted may wait for more."""

RETRY_SECONDS: Final = 5.0
"""Between two attempts to write what could not be written."""

CLOSE_SECONDS: Final = 5.0
"""How long the last writing may take."""

MAX_NOTES: Final = 200_000
"""Things that wait to be written while the disk does not take them: as many as there can be sessions, and more."""

_PUT_LISTING: Final = "INSERT OR REPLACE INTO listings VALUES (?, ?, ?)"
_DROP_LISTING: Final = "DELETE FROM listings WHERE backend = ?"
_PUT_SESSION: Final = "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)"
_TOUCH_SESSION: Final = "UPDATE sessions SET seen_at = max(seen_at, ?) WHERE nonce = ?"
_DROP_SESSION: Final = "DELETE FROM sessions WHERE nonce = ?"
_PUT_SERVER: Final = "INSERT OR REPLACE INTO servers VALUES (?, ?)"
_PUT_DEFINITIONS: Final = "INSERT OR REPLACE INTO definitions VALUES (?, ?)"
_DROP_SERVER: Final = "DELETE FROM servers WHERE name = ?"

Note = tuple[str, tuple[Any, ...]]
"""A statement and its values; a value that is a Struct is encoded by the thread that writes."""

log = structlog.get_logger()


class Store:
    """One file, open. All methods may be called from any thread; `clock` is in seconds since 1970."""

    def __init__(
        self, connection: sqlite3.Connection, clock: Callable[[], float] = time.time, max_notes: int = MAX_NOTES
    ) -> None:
        """See `open_store` and `Store.open`, which make it."""
        self._connection = connection
        self._clock = clock
        self._max_notes = max_notes
        self._disk = threading.Lock()
        self._turn = threading.Condition()
        """Guards what follows; never held while the disk is waited for."""
        self._notes: dict[tuple[str, object], Note] = {}
        self._writing = False
        self._hurry = False
        self._closing = False
        self._dropped = False
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float] = time.time, max_notes: int = MAX_NOTES) -> "Store":
        """Open the file, or make one, in a folder that only we can enter if that is made, too.

        A broken file is moved aside, to the same name with `.broken`, and a new one is begun.

        Raises:
            StoreError: it belongs to a later version or to another program, or cannot be written.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                return cls(connect(path), clock, max_notes)
            except BrokenFile as broken:
                aside = move_aside(path)
                log.warning("state_file_broken", file=str(path), reason=str(broken), kept_as=str(aside))
                return cls(connect(path), clock, max_notes)
        except (OSError, sqlite3.Error, BrokenFile, ForeignFile) as error:
            raise StoreError(str(error)) from error

    def load(self) -> Saved:
        """Everything that is kept; a value that cannot be read is left out. Waits for the disk.

        Raises:
            StoreError: nothing can be read.
        """
        try:
            with self._disk:
                rows = {
                    table: self._connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608
                    for table in ("listings", "sessions", "servers", "definitions")
                }
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error
        return Saved(
            {name: found for name, _, body in rows["listings"] for found in _decoded(body, SavedListing)},
            tuple(
                SavedSession(state, seen_at)
                for _, seen_at, body in rows["sessions"]
                for state in _decoded(body, SessionState)
            ),
            tuple(SavedServer(name, source) for name, source in rows["servers"]),
            {name: found for name, body in rows["definitions"] for found in _decoded(body, dict[str, bytes])},
        )

    def secret(self, new: Callable[[], bytes]) -> bytes:
        """The gateway's secret, which `new` makes the first time: with it, ids of sessions hold in the next run, too.

        Waits for the disk.

        Raises:
            StoreError: it cannot be kept.
        """
        try:
            with self._disk:
                self._connection.execute("INSERT OR IGNORE INTO secrets VALUES ('gateway', ?)", (new(),))
                row = self._connection.execute("SELECT value FROM secrets WHERE name = 'gateway'").fetchone()
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error
        return bytes(row[0])

    def save_listing(self, settings: BackendSettings, listing: Listing, facts: Facts | None) -> None:
        """Keep what the server of a backend has, in place of what it had."""
        salt = secrets.token_bytes(16)
        body = SavedListing(salt, digest_of(settings, salt), listing, facts)
        self._note("listings", settings.name, (_PUT_LISTING, (settings.name, self._clock(), body)))

    def forget_listing(self, backend: str) -> None:
        """Let go of what a backend had that is there no longer."""
        self._note("listings", backend, (_DROP_LISTING, (backend,)))

    def save_sessions(self, states: Iterable[SessionState], ended: Iterable[bytes] = ()) -> None:
        """Keep sessions as they are now, and in use; let go of those, by nonce, that ended."""
        now = self._clock()
        for state in states:
            self._note("sessions", state.nonce, (_PUT_SESSION, (state.nonce, now, state)))
        for nonce in ended:
            self._note("sessions", nonce, (_DROP_SESSION, (nonce,)))

    def touch_sessions(self, nonces: Iterable[bytes]) -> None:
        """Note that sessions are in use."""
        now = self._clock()
        for nonce in nonces:
            self._note("touches", nonce, (_TOUCH_SESSION, (now, nonce)))

    def put_server(self, name: str, source: bytes) -> None:
        """Keep a server that was added; see `SavedServer` for what `source` may hold."""
        self._note("servers", name, (_PUT_SERVER, (name, source)))

    def remove_server(self, name: str) -> None:
        """Let go of a server that was removed."""
        self._note("servers", name, (_DROP_SERVER, (name,)))

    def put_definitions(self, backend: str, digests: Mapping[str, bytes]) -> None:
        """Keep the digests of the tools of a backend that its owner agreed to, by name."""
        self._note("definitions", backend, (_PUT_DEFINITIONS, (backend, msgspec.msgpack.encode(digests))))

    def flush(self, limit: float = CLOSE_SECONDS) -> bool:
        """Write what was noted until now, without waiting for more; whether it is written, after `limit` seconds."""
        with self._turn:
            self._hurry = bool(self._notes)
            self._turn.notify_all()
            return self._turn.wait_for(lambda: not self._notes and not self._writing, limit)

    def close(self) -> None:
        """Write what was noted, and end. What is noted afterwards is lost."""
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        self._thread.join(CLOSE_SECONDS)

    def _note(self, table: str, key: object, note: Note) -> None:
        with self._turn:
            if len(self._notes) >= self._max_notes and (table, key) not in self._notes:
                self._dropped = True  # only sessions can be so many, and the disk has refused them for long
                return
            self._notes[table, key] = note
            if len(self._notes) == 1:
                self._turn.notify_all()

    def _run(self) -> None:
        """What the thread does until `close`."""
        written, closing = True, False
        while not closing:
            with self._turn:
                self._turn.wait_for(lambda: self._notes or self._closing)
                self._turn.wait_for(lambda: self._hurry or self._closing, FLUSH_SECONDS if written else RETRY_SECONDS)
                notes, self._notes = self._notes, {}
                self._writing, self._hurry, closing = True, False, self._closing
            try:
                self._write(notes.values())
            except Exception as error:  # noqa: BLE001 - a thread that has ended would keep nothing ever again
                if written:
                    log.warning("state_not_saved", reason=str(error))
                written = False
            else:
                if not written:
                    log.info("state_saved_again", dropped=self._dropped)
                written, notes = True, {}
            with self._turn:
                self._notes = {**notes, **self._notes}
                self._writing = False
                self._turn.notify_all()
        with suppress(sqlite3.Error):
            self._connection.close()

    def _write(self, notes: Iterable[Note]) -> None:
        with self._disk, transaction(self._connection) as connection:
            for statement, values in notes:
                connection.execute(statement, [_encoded(value) for value in values])


def open_store(path: Path | None) -> Store | None:
    """Open the file; if it cannot be used, or there is to be none, the gateway goes on without, and a line says so."""
    if path is None:
        return None
    try:
        return Store.open(path)
    except StoreError as error:
        log.warning("state_not_kept", file=str(path), reason=str(error))
        return None


def _encoded(value: Any) -> Any:
    return msgspec.msgpack.encode(value) if isinstance(value, msgspec.Struct) else value


def _decoded(body: bytes, kind: type[Any]) -> Iterator[Any]:
    """The value, if it can be read."""
    try:
        yield msgspec.msgpack.decode(body, type=kind)
    except (msgspec.DecodeError, TypeError) as error:
        log.warning("saved_value_unreadable", kind=kind.__name__, reason=str(error))
