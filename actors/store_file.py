"""The SQLite file of the Store: what tables it has, and what becomes of a broken one."""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from actors import sqlite_file

SCHEMA: Final = 1
"""The version of the tables; a file of a later one is left alone."""

APPLICATION_ID: Final = 0x6F316D63
"""`o1mc`: by it a file is known to be ours."""

MAX_LISTINGS: Final = 1000
"""Of more, those saved last are kept when the file is opened: a server that left the configuration may come back."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS listings (backend TEXT PRIMARY KEY, saved_at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (nonce BLOB PRIMARY KEY, seen_at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS servers (name TEXT PRIMARY KEY, source BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS definitions (backend TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""

_FORM: Final = sqlite_file.Form(APPLICATION_ID, SCHEMA, _TABLES, synchronous="NORMAL")

_DROP_OLD_DEFINITIONS: Final = (
    "DELETE FROM definitions WHERE rowid NOT IN (SELECT rowid FROM definitions ORDER BY rowid DESC LIMIT ?)"
)
_DROP_OLD_LISTINGS: Final = (
    "DELETE FROM listings WHERE backend NOT IN (SELECT backend FROM listings ORDER BY saved_at DESC LIMIT ?)"
)


class StoreError(Exception):
    """The file cannot be used; the sentence says why."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, or make it, and let go of what is too much.

    Raises:
        OSError, sqlite3.OperationalError, BrokenFile, ForeignFile: see `sqlite_file.connect`.
    """
    connection = sqlite_file.connect(path, _FORM)
    with sqlite_file.preparing(connection):
        connection.execute(_DROP_OLD_LISTINGS, [MAX_LISTINGS])
        connection.execute(_DROP_OLD_DEFINITIONS, [MAX_LISTINGS])
    return connection


def move_aside(path: Path) -> Path:
    """Give the file, and those that SQLite keeps beside it, the same name with `.broken`; gives that."""
    aside = path.with_name(f"{path.name}.broken")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
    return aside
