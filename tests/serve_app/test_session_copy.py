"""An ingress replica's copy of the sessions: the newest state, no end undone, and nothing left untold."""

from actors.core.binding import Binding
from actors.core.recent_ends import KEEP_SECONDS
from actors.core.session_end import End
from actors.core.session_state import Bind, SessionState, SetLevel, changed, opened
from serve_app.session_copy import SessionCopy
from tests.support.session_router import Heard

ONE, TWO, THREE = (opened(bytes([number]) * 16, "alice", b"{}") for number in (1, 2, 3))
NOISY = changed(ONE, SetLevel("debug"))


def test_only_a_newer_state_is_gone_by_and_spoken_of() -> None:
    heard = Heard()
    copy = SessionCopy(heard)

    for state in (ONE, NOISY, ONE, NOISY, SessionState(ONE.nonce, "alice")):
        copy.adopt(state)

    assert copy.get(ONE.nonce) == NOISY
    assert heard.changes == [(ONE.nonce, ONE), (ONE.nonce, NOISY)]


def test_a_binding_made_here_outlives_newer_states_of_others_and_is_told() -> None:
    heard = Heard()
    copy = SessionCopy(heard)
    bound = changed(ONE, Bind(Binding("git", 1, 0, "e1")))
    later = changed(NOISY, SetLevel("error"))
    copy.adopt(bound, told=False)

    copy.adopt(later)

    known = copy.get(ONE.nonce)
    assert known is not None
    assert (known.log_level, known.bindings) == ("error", bound.bindings)
    assert known.version > later.version
    assert heard.changes[-1] == (ONE.nonce, known)
    assert copy.untold(9) == ((known,), ())


def test_a_state_that_arrives_after_the_end_is_late() -> None:
    heard = Heard()
    copy = SessionCopy(heard)
    copy.adopt(ONE)
    copy.end(ONE.nonce, 0.0)

    copy.adopt(NOISY)

    assert copy.get(ONE.nonce) is None
    assert copy.has_ended(ONE.nonce)
    assert heard.changes[-1] == (ONE.nonce, None)


def test_an_end_is_spoken_of_once() -> None:
    heard = Heard()
    copy = SessionCopy(heard)

    for now in (0.0, 1.0):
        copy.end(ONE.nonce, now)

    assert heard.ended == [ONE.nonce]


def test_the_session_not_used_for_longest_makes_room_and_is_not_told() -> None:
    copy = SessionCopy(Heard(), max_states=2)
    for state in (ONE, TWO):
        copy.adopt(state, told=False)
    copy.get(ONE.nonce)

    copy.adopt(THREE)

    assert copy.states() == (ONE, THREE)
    assert copy.untold(9) == ((ONE,), ())


def test_what_was_changed_while_it_was_being_told_is_told_again() -> None:
    copy = SessionCopy(Heard())
    copy.adopt(ONE, told=False)
    copy.adopt(TWO, told=False)
    states, ended = copy.untold(9)

    copy.adopt(NOISY, told=False)
    copy.note_told(states, ended)

    assert copy.untold(9) == ((NOISY,), ())


def test_what_has_ended_is_told_as_an_end_and_as_nothing_else() -> None:
    copy = SessionCopy(Heard())
    copy.adopt(ONE, told=False)
    copy.adopt(TWO)
    copy.end(ONE.nonce, 0.0, End.CLIENT)
    before = copy.untold(9)

    copy.note_told(*before)
    copy.untell()

    assert before == ((), (ONE.nonce,))
    assert copy.untold(9) == ((TWO,), (ONE.nonce,))


def test_an_end_is_forgotten_after_a_while_but_not_before_the_router_has_heard_of_it() -> None:
    copy = SessionCopy(Heard())
    copy.end(ONE.nonce, 0.0)
    copy.end(TWO.nonce, 0.0, End.CLIENT)

    copy.forget_old(KEEP_SECONDS)

    assert not copy.has_ended(ONE.nonce)
    assert copy.has_ended(TWO.nonce)
    copy.note_told(*copy.untold(9))
    copy.forget_old(2 * KEEP_SECONDS)
    assert not copy.has_ended(TWO.nonce)


def test_ends_that_cannot_be_told_are_bounded_too() -> None:
    copy = SessionCopy(Heard(), max_states=10)

    for number in range(100):
        copy.end(number.to_bytes(16, "big"), 0.0, End.CLIENT)
        copy.forget_old(0.0)

    assert len(copy.untold(1000)[1]) <= 10


def test_the_reason_of_an_end_is_told_until_a_router_has_heard_it_and_never_after() -> None:
    copy = SessionCopy(Heard())
    copy.end(ONE.nonce, 0.0, End.REVOKED)
    copy.end(TWO.nonce, 0.0)
    both = (ONE.nonce, TWO.nonce)

    before = copy.reasons(both)
    copy.untell()
    away = copy.reasons(both)
    copy.note_told((), both)
    copy.untell()
    copy.end(TWO.nonce, 1.0, End.CLIENT)

    assert before == away == {ONE.nonce: End.REVOKED}
    assert set(copy.untold(9)[1]) == set(both)
    assert copy.reasons(both) == {}
