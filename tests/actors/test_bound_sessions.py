"""A replica knows which server the state of each bound session is in, and lets no call of it into another."""

from typing import Any, cast

import pytest

from actors.bound_sessions import BoundSessions
from actors.core.call import Call
from actors.upstream.upstream import Upstream


class Server:
    """An adapter, as far as it matters here."""


def server() -> Upstream:
    return cast(Any, Server())


def call(binding: int, session: bytes = b"one") -> Call:
    return Call("tools/call", b"{}", 30.0, session=session, binding=binding)


def settled(binding: int, home: Upstream) -> BoundSessions:
    """With one session that had calls in a server."""
    sessions = BoundSessions()
    assert sessions.admit(call(binding), home, absent=False)
    sessions.note(call(binding), home)
    return sessions


def test_a_session_has_all_its_calls_in_the_server_of_the_first() -> None:
    home = server()

    sessions = settled(1, home)

    assert sessions.admit(call(1), home, absent=False)
    assert not sessions.admit(call(1), server(), absent=False)
    assert sessions.admit(call(1, b"two"), server(), absent=False)


def test_a_server_that_is_not_well_still_has_the_state() -> None:
    home = server()

    sessions = settled(1, home)

    assert sessions.admit(call(1), home, absent=True)


@pytest.mark.parametrize("absent", [True, False])
def test_a_session_whose_server_is_gone_is_refused_whether_or_not_another_is_there(absent: bool) -> None:
    home = server()
    sessions = settled(1, home)
    del home

    assert not sessions.admit(call(1), None, absent=absent)
    assert not sessions.admit(call(1), server(), absent=absent)


def test_what_is_bound_anew_begins_in_the_server_that_is_there_and_calls_of_the_older_binding_do_not() -> None:
    first, second = server(), server()
    sessions = settled(1, first)

    begins = sessions.admit(call(3), second, absent=False)
    sessions.note(call(3), second)

    assert begins
    assert not sessions.admit(call(1), first, absent=False)
    assert sessions.admit(call(3), second, absent=False)


def test_a_session_that_found_no_server_at_first_finds_none_later_in_the_same_binding() -> None:
    sessions = BoundSessions()

    assert not sessions.admit(call(1), None, absent=True)
    assert not sessions.admit(call(1), server(), absent=False)
    assert sessions.admit(call(3), server(), absent=False)


def test_a_server_that_is_yet_to_be_started_for_it_is_good_for_the_first_call() -> None:
    sessions = BoundSessions()

    assert sessions.admit(call(1), None, absent=False)
    assert sessions.admit(call(1), None, absent=False)


def test_who_is_not_bound_may_go_anywhere_and_nothing_is_remembered() -> None:
    sessions = BoundSessions()

    sessions.note(call(0), server())

    assert sessions.admit(call(0), server(), absent=False)
    assert sessions.admit(call(0), None, absent=True)
    assert len(sessions) == 0


def test_a_late_call_of_an_older_binding_does_not_bring_it_back() -> None:
    first, second = server(), server()
    sessions = settled(3, second)

    sessions.note(call(1), first)

    assert sessions.admit(call(3), second, absent=False)
    assert not sessions.admit(call(1), first, absent=False)


def test_so_many_sessions_are_remembered_those_used_last_and_one_that_is_over_is_not() -> None:
    home = server()
    sessions = BoundSessions(limit=2)
    for session in (b"one", b"two", b"one", b"three"):
        sessions.note(call(1, session), home)

    assert [sessions.admit(call(1, each), server(), absent=False) for each in (b"one", b"two", b"three")] == [
        False,
        True,
        False,
    ]
    sessions.end(b"one")
    assert sessions.admit(call(1, b"one"), server(), absent=False)
