"""A SQLite file of ours: nobody else of the machine can read it, and it is used only if it is ours and whole."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

BUSY_SECONDS: Final = 2.0
"""How long another process may hold the file."""


class Form(NamedTuple):
    """What a sort of file is like."""

    application_id: int
    """By it a file is known to be of this sort."""
    version: int
    """Of the tables; a file of a later one is left alone."""
    tables: str
    """The statements that make them; they do nothing where these are there already."""
    synchronous: str
    """When SQLite waits for the disk, see its `PRAGMA synchronous`."""


class ForeignFile(Exception):  # noqa: N818 - a reason to leave it alone
    """It is a database, but not one for us; the sentence says why."""


class BrokenFile(Exception):  # noqa: N818 - a reason to begin anew
    """It is no database, or one that is damaged."""


def connect(path: Path | None, form: Form) -> sqlite3.Connection:
    """Open a file, or make it, and see to its tables; without a path it is in memory, and gone with the process.

    Raises:
        OSError, sqlite3.OperationalError: it cannot be read and written.
        BrokenFile: it is of no use to anybody.
        ForeignFile: it may be of use to others.
    """
    if path is not None:
        _make_private(path)
    connection = sqlite3.connect(
        path or ":memory:", timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    with preparing(connection):
        _prepare(connection, form)
    return connection


@contextmanager
def preparing(connection: sqlite3.Connection) -> Iterator[None]:
    """What is done within belongs to the opening: if it fails, the file is let go of.

    Raises:
        BrokenFile: in the place of errors which say that.
    """
    try:
        yield
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            raise BrokenFile(str(error)) from error
        raise


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


def _make_private(path: Path) -> None:
    # SQLite gives its other files the mode of this one
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _prepare(connection: sqlite3.Connection, form: Form) -> None:
    def value(pragma: str) -> Any:
        return connection.execute(f"PRAGMA {pragma}").fetchone()[0]

    is_new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not is_new and value("application_id") != form.application_id:
        raise ForeignFile("it is a database of another program")
    if value("user_version") > form.version:
        raise ForeignFile("it was written by a later version of only1mcp")
    found = value("quick_check(1)")
    if found != "ok":
        raise BrokenFile(f"it is damaged: {found}")
    value("journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {form.synchronous}")
    connection.executescript(
        f"BEGIN IMMEDIATE; {form.tables} PRAGMA application_id = {form.application_id};"
        f" PRAGMA user_version = {form.version}; COMMIT;"
    )
