"""The file that outlives the gateway: what was written is whole, what cannot be used stops nobody."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.core.endpoints import StdioEndpoint
from actors.core.listing import Facts, Item, Listing
from actors.core.saved import Saved, SavedServer, SavedSession
from actors.core.session_state import SessionState, opened
from actors.core.settings import BackendSettings
from actors.sqlite_file import BUSY_SECONDS
from actors.store import FLUSH_SECONDS, Store, open_store
from actors.store_file import MAX_LISTINGS, StoreError
from tests.support.hand_clock import HandClock
from tests.support.processes import ROOT
from tests.support.saved import facts, listings, states

LIMIT = 20.0
LISTING = Listing(tools=(Item("log", b'{"name":"log"}'),))


def backend(name: str = "git", command: str = "x") -> BackendSettings:
    return BackendSettings(name=name, endpoint=StdioEndpoint(command=command))


def session(number: int) -> SessionState:
    return opened(number.to_bytes(16, "big"), "alice", b"{}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.sqlite"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    store = Store.open(file, HandClock(100.0))
    yield store
    store.close()


def reopened(file: Path) -> Saved:
    """What the next run finds."""
    store = Store.open(file)
    saved = store.load()
    store.close()
    return saved


def wait_for(file: Path, is_there: Callable[[Saved], bool]) -> Saved:
    """What another process sees as soon as it is as wanted."""
    reader = Store.open(file)
    deadline = time.monotonic() + LIMIT
    try:
        while not is_there(saved := reader.load()):
            assert time.monotonic() < deadline, saved
        return saved
    finally:
        reader.close()


# --- what is kept ---


@settings(max_examples=25)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.tuples(listings, st.none() | facts)),
    st.lists(states, max_size=4, unique_by=lambda state: state.nonce),
    st.dictionaries(st.text(min_size=1, max_size=4), st.binary(max_size=8)),
)
def test_what_was_kept_is_there_in_the_next_run(
    had: dict[str, tuple[Listing, Facts | None]], sessions: list[SessionState], servers: dict[str, bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "state.sqlite", HandClock(100.0))
        for name, (listing, said) in had.items():
            store.save_listing(backend(name), listing, said)
        store.save_sessions(sessions)
        for name, source in servers.items():
            store.put_server(name, source)
        store.close()

        saved = reopened(Path(folder) / "state.sqlite")

    assert {name: (each.listing, each.facts) for name, each in saved.listings.items()} == had
    assert all(each.is_of(backend(name)) for name, each in saved.listings.items())
    assert sorted(saved.sessions, key=lambda each: each.state.nonce) == sorted(
        (SavedSession(state, 100.0) for state in sessions), key=lambda each: each.state.nonce
    )
    assert {each.name: each.source for each in saved.servers} == servers


def test_the_latest_value_counts_and_what_ended_is_gone(file: Path, store: Store) -> None:
    store.save_listing(backend(), Listing(), None)
    store.save_listing(backend(), LISTING, None)
    store.save_listing(backend("web"), LISTING, None)
    store.forget_listing("web")
    store.put_server("a", b"1")
    store.put_server("b", b"1")
    store.put_server("a", b"2")
    store.remove_server("b")
    store.save_sessions([session(1), session(2)])
    store.save_sessions([], [session(1).nonce])

    assert store.flush(LIMIT)
    saved = reopened(file)

    assert {name: each.listing for name, each in saved.listings.items()} == {"git": LISTING}
    assert saved.servers == (SavedServer("a", b"2"),)
    assert [each.state for each in saved.sessions] == [session(2)]


def test_the_last_use_of_a_session_is_kept_and_never_goes_back(file: Path) -> None:
    clock = HandClock(100.0)
    store = Store.open(file, clock)
    store.save_sessions([session(1), session(2), session(3)])
    clock.advance(50.0)
    store.touch_sessions([session(1).nonce, session(3).nonce, b"nobody's"])
    assert store.flush(LIMIT)
    clock.advance(-20.0)
    store.touch_sessions([session(1).nonce])
    store.save_sessions([], [session(3).nonce])
    store.close()

    assert reopened(file).sessions == (SavedSession(session(1), 150.0), SavedSession(session(2), 100.0))


def test_it_is_written_soon_without_being_asked(file: Path, store: Store) -> None:
    store.put_server("a", b"1")

    assert wait_for(file, lambda saved: bool(saved.servers)).servers == (SavedServer("a", b"1"),)


def test_the_secret_is_made_once(file: Path, store: Store) -> None:
    first = store.secret(lambda: b"one")
    second = Store.open(file)

    assert (first, second.secret(lambda: b"two")) == (b"one", b"one")
    second.close()


def test_of_very_many_listings_the_latest_are_kept(file: Path) -> None:
    clock = HandClock(0.0)
    store = Store.open(file, clock)
    for number in range(MAX_LISTINGS + 2):
        clock.advance(1.0)
        store.save_listing(backend(f"b{number}"), Listing(), None)
    store.close()

    kept = reopened(file).listings

    assert len(kept) == MAX_LISTINGS
    assert "b0" not in kept
    assert "b1" not in kept


# --- the file ---


def test_nobody_else_may_read_it(file: Path, store: Store) -> None:
    store.put_server("a", b"1")
    store.flush(LIMIT)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (file.parent, *file.parent.iterdir())}

    assert modes == {"state": 0o700, "state.sqlite": 0o600, "state.sqlite-wal": 0o600, "state.sqlite-shm": 0o600}


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    file = tmp_path / "state.sqlite"
    file.touch(mode=0o644)

    Store.open(file).close()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def damage_header(file: Path) -> None:
    file.write_bytes(b"no database at all" * 100)


def damage_pages(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


@pytest.mark.parametrize("damage", [damage_header, damage_pages, cut])
def test_a_broken_file_is_moved_aside_and_a_new_one_begun(file: Path, damage: Callable[[Path], None]) -> None:
    store = Store.open(file)
    store.put_server("a", b"1" * 20_000)
    store.close()
    damage(file)
    damaged = file.read_bytes()

    store = Store.open(file)
    found = store.load()
    store.put_server("b", b"2")
    store.close()

    assert found == Saved()
    assert reopened(file).servers == (SavedServer("b", b"2"),)
    assert file.with_name("state.sqlite.broken").read_bytes() == damaged


def test_a_value_that_cannot_be_read_is_left_out(file: Path, store: Store) -> None:
    store.save_listing(backend("git"), LISTING, None)
    store.save_listing(backend("web"), LISTING, None)
    store.save_sessions([session(1)])
    store.close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE listings SET body = x'00' WHERE backend = 'git'")
        connection.execute("UPDATE sessions SET body = 'text'")
    connection.close()

    saved = reopened(file)

    assert (list(saved.listings), saved.sessions) == (["web"], ())


@pytest.mark.parametrize(
    ("statement", "reason"),
    [("PRAGMA user_version = 99", "later version"), ("PRAGMA application_id = 7", "another program")],
)
def test_a_file_that_is_not_for_this_version_is_left_alone(file: Path, statement: str, reason: str) -> None:
    Store.open(file).close()
    with sqlite3.connect(file) as connection:
        connection.execute(statement)
    connection.close()
    before = file.read_bytes()

    with pytest.raises(StoreError, match=reason):
        Store.open(file)

    assert file.read_bytes() == before
    assert open_store(file) is None


def test_a_place_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert open_store(tmp_path / "file" / "state.sqlite") is None
    assert open_store(tmp_path) is None
    assert open_store(None) is None


def test_what_the_disk_did_not_take_is_written_later(file: Path, store: Store) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._connection.execute("PRAGMA busy_timeout = 0")
    store.put_server("a", b"1")
    store.put_server("b", b"1")
    assert not store.flush(0.2)
    store.put_server("a", b"2")

    other.execute("COMMIT")
    other.close()

    assert store.flush(LIMIT)
    assert reopened(file).servers == (SavedServer("a", b"2"), SavedServer("b", b"1"))


def test_noting_something_does_not_wait_for_the_disk(file: Path, store: Store) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    before = time.monotonic()
    store.put_server("first", b"1")
    store.flush(FLUSH_SECONDS / 10)
    for number in range(1000):
        store.save_sessions([session(number)])
    passed = time.monotonic() - before
    other.execute("COMMIT")
    other.close()

    assert passed < BUSY_SECONDS
    assert store.flush(LIMIT)


def test_a_disk_that_takes_nothing_fills_no_memory(file: Path) -> None:
    store = Store.open(file, max_notes=3)
    store.save_sessions([session(number) for number in range(10)])
    store.save_sessions([], [session(0).nonce])
    store.close()

    assert [each.state for each in reopened(file).sessions] == [session(1), session(2)]


def test_a_killed_process_loses_only_what_it_had_not_written(file: Path) -> None:
    command = [sys.executable, "-m", "tests.support.saved", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        promised = [int(writer.stdout.readline()) for _ in range(3)]
        writer.send_signal(signal.SIGKILL)
        promised += [int(line) for line in writer.stdout]

    kept = [int.from_bytes(each.state.nonce, "big") for each in reopened(file).sessions]

    assert kept == list(range(1, len(kept) + 1))
    assert len(kept) >= promised[-1]
    assert not file.with_name("state.sqlite.broken").exists()
