"""The SQLite file of the Store: whose it is, what tables it has, what is wrong with it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

SCHEMA: Final = 1
"""The version of the tables; a file of a later one is left alone."""

APPLICATION_ID: Final = 0x6F316D63
"""`o1mc`: by it a file is known to be ours."""

BUSY_SECONDS: Final = 2.0
"""How long another process may hold the file."""

MAX_LISTINGS: Final = 1000
"""Of more, those saved last are kept when the file is opened: a server that left the configuration may come back."""

_TABLES: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS listings (backend TEXT PRIMARY KEY, saved_at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (nonce BLOB PRIMARY KEY, seen_at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS servers (name TEXT PRIMARY KEY, source BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS definitions (backend TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA};
COMMIT;
"""

_DROP_OLD_DEFINITIONS: Final = (
    "DELETE FROM definitions WHERE rowid NOT IN (SELECT rowid FROM definitions ORDER BY rowid DESC LIMIT ?)"
)
_DROP_OLD_LISTINGS: Final = (
    "DELETE FROM listings WHERE backend NOT IN (SELECT backend FROM listings ORDER BY saved_at DESC LIMIT ?)"
)


class StoreError(Exception):
    """The file cannot be used; the sentence says why."""


class BrokenFile(Exception):  # noqa: N818 - a reason to begin anew
    """It is no database, or one that is damaged."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, or make it, and see to its tables.

    Raises:
        OSError, sqlite3.OperationalError: it cannot be read and written.
        BrokenFile: it may be moved aside.
        StoreError: it is not for us.
    """
    # SQLite gives its other files the mode of this one
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            raise BrokenFile(str(error)) from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    def value(pragma: str) -> Any:
        return connection.execute(f"PRAGMA {pragma}").fetchone()[0]

    is_new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not is_new and value("application_id") != APPLICATION_ID:
        raise StoreError("it is a database of another program")
    if value("user_version") > SCHEMA:
        raise StoreError("it was written by a later version of only1mcp")
    found = value("quick_check(1)")
    if found != "ok":
        raise BrokenFile(found)
    value("journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(_TABLES)
    connection.execute(_DROP_OLD_LISTINGS, [MAX_LISTINGS])
    connection.execute(_DROP_OLD_DEFINITIONS, [MAX_LISTINGS])


def move_aside(path: Path) -> Path:
    """Give the file, and those that SQLite keeps beside it, the same name with `.broken`; gives that."""
    aside = path.with_name(f"{path.name}.broken")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
    return aside


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All that is done within is done, or none of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
