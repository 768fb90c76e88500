"""A file of ours is private, and one that is not ours or not whole is not used."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from actors.sqlite_file import BrokenFile, ForeignFile, Form, connect, preparing, transaction

FORM = Form(0x6F316D00, 2, "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY);", synchronous="FULL")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "things.sqlite"


def names(path: Path | None, form: Form = FORM) -> list[str]:
    with closing(connect(path, form)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM things ORDER BY name")]


def put(connection: sqlite3.Connection, *names: str) -> None:
    for name in names:
        connection.execute("INSERT INTO things VALUES (?)", [name])


def test_what_was_written_is_there_again_and_nobody_else_can_read_it(path: Path) -> None:
    path.touch(mode=0o644)

    with closing(connect(path, FORM)) as connection:
        put(connection, "a")
        modes = {file.stat().st_mode & 0o777 for file in path.parent.iterdir()}

    assert names(path) == ["a"]
    assert modes == {0o600}


def test_without_a_path_nothing_outlives_the_connection() -> None:
    with closing(connect(None, FORM)) as connection:
        put(connection, "a")

    assert names(None) == []


def test_a_transaction_is_done_or_leaves_nothing(path: Path) -> None:
    with closing(connect(path, FORM)) as connection:
        with transaction(connection):
            put(connection, "a")
        with pytest.raises(sqlite3.IntegrityError), transaction(connection):
            put(connection, "b", "a")

    assert names(path) == ["a"]


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (FORM._replace(application_id=1), "another program"),
        (FORM._replace(version=1), "a later version of only1mcp"),
    ],
)
def test_a_file_that_is_for_others_is_left_as_it_is(path: Path, form: Form, reason: str) -> None:
    connect(path, FORM).close()
    before = path.read_bytes()

    with pytest.raises(ForeignFile, match=reason):
        connect(path, form)

    assert path.read_bytes() == before


def test_a_file_of_an_earlier_version_is_ours_and_becomes_one_of_this(path: Path) -> None:
    with closing(connect(path, FORM._replace(version=1))) as connection:
        put(connection, "a")

    assert names(path) == ["a"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_what_is_no_database_is_broken_and_what_cannot_be_written_is_not(path: Path) -> None:
    path.write_bytes(b"no database" * 100)
    with pytest.raises(BrokenFile):
        connect(path, FORM)
    with pytest.raises(OSError, match="No such file"):
        connect(path.parent / "gone" / "things.sqlite", FORM)


def test_what_fails_while_a_file_is_opened_closes_it(path: Path) -> None:
    connection = connect(path, FORM)

    with pytest.raises(sqlite3.OperationalError, match="no such table"), preparing(connection):
        connection.execute("SELECT * FROM others")

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
