"""The book of sessions: limits, idleness, news, and the promise that what ended stays ended."""

import gc
import os
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from actors.core.recent_ends import KEEP_SECONDS
from actors.core.session_book import MAX_NEWS, Opening, SessionBook
from actors.core.session_end import End
from actors.core.session_state import SessionNews, SessionState, SetLevel, Subscribe, opened
from actors.core.settings import ServerSettings
from actors.core.tokens.revocations import Credential, Revocation, Revocations, Target

IDLE = 100.0


def book(*, max_sessions: int = 100, max_total: int = 1000, max_changes: int = 1000) -> SessionBook:
    return SessionBook(idle_seconds=IDLE, max_sessions=max_sessions, max_total=max_total, max_changes=max_changes)


def nonce(number: int) -> bytes:
    return number.to_bytes(16, "big")


def state(number: int, owner: str = "alice") -> SessionState:
    return opened(nonce(number), owner, b"{}")


def everything(sessions: SessionBook) -> dict[bytes, SessionState]:
    found = [sessions.find(nonce(number)) for number in range(6)]
    return {each.nonce: each for each in found if each is not None}


def living(sessions: SessionBook, most: int = 50) -> list[int]:
    return [number for number in range(most) if sessions.find(nonce(number)) is not None]


def test_an_opened_session_is_found_until_it_ends() -> None:
    sessions = book()

    assert sessions.open(state(1), 0.0)
    found = sessions.find(nonce(1))
    sessions.end([nonce(1)], 1.0)

    assert found == state(1)
    assert sessions.find(nonce(1)) is None
    assert len(sessions) == 0


def test_a_session_is_opened_once_however_often_it_is_said() -> None:
    sessions = book(max_sessions=1)
    sessions.open(state(1), 0.0)
    sessions.change(nonce(1), SetLevel("debug"))

    assert sessions.open(state(1), 1.0)
    found = sessions.find(nonce(1))
    assert found is not None
    assert found.log_level == "debug"


def test_a_session_that_ended_is_not_opened_again() -> None:
    sessions = book()
    sessions.open(state(1), 0.0)
    sessions.end([nonce(1)], 1.0)

    assert not sessions.open(state(1), 2.0)
    assert sessions.find(nonce(1)) is None


# --- limits ---


def test_at_the_limit_the_longest_unused_session_of_the_same_owner_makes_room() -> None:
    sessions = book(max_sessions=2)
    sessions.open(state(9, "bob"), 0.0)
    for number in (1, 2):
        sessions.open(state(number), float(number))
    sessions.touch([nonce(1)], 5.0)

    assert sessions.open(state(3), 6.0)
    assert living(sessions) == [1, 3, 9]


def test_a_quota_refuses_a_session_and_ends_none_whatever_the_endpoint() -> None:
    sessions = book()
    sessions.open(state(1, "\0alice"), 0.0, 2)
    sessions.open(state(2, "git\0alice"), 1.0, 2)

    assert sessions.open(state(3, "files\0alice"), 2.0, 2) is Opening.OVER_QUOTA
    assert sessions.open(state(1, "\0alice"), 3.0, 2) is Opening.OPENED
    assert sessions.open(state(4, "\0bob"), 4.0, 2) is Opening.OPENED
    assert living(sessions) == [1, 2, 4]


def test_a_session_that_ended_is_not_counted_against_the_quota() -> None:
    sessions = book()
    sessions.open(state(1, "\0alice"), 0.0, 1)
    sessions.end([nonce(1)], 1.0)

    assert sessions.open(state(2, "\0alice"), 2.0, 1) is Opening.OPENED
    assert sessions.open(state(3, "\0alice"), 3.0, 1) is Opening.OVER_QUOTA


def test_where_all_is_full_an_owner_gets_room_from_his_own_sessions_only() -> None:
    sessions = book(max_total=3)
    sessions.open(state(1, "alice"), 0.0)
    sessions.open(state(2, "bob"), 1.0)
    sessions.open(state(3, "bob"), 2.0)

    assert sessions.open(state(4, "bob"), 3.0)
    assert not sessions.open(state(5, "carol"), 4.0)
    assert living(sessions) == [1, 3, 4]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["open", "tell", "touch"]), st.integers(1, 3)), max_size=60),
    st.integers(1, 4),
)
def test_a_limit_never_ends_a_session_of_an_owner_who_is_within_it(
    steps: list[tuple[int, str, int]], max_sessions: int
) -> None:
    sessions = book(max_sessions=max_sessions, max_total=20)
    owners = ["alice", "bob", "carol"]
    opened_by: dict[str, set[int]] = {owner: set() for owner in owners}

    for now, (number, step, share) in enumerate(steps):
        owner = owners[min(number % share, 2)]
        number += 100 * owners.index(owner)
        before = {each for each in range(300) if sessions.find(nonce(each)) is not None}
        if step == "touch":
            sessions.touch([nonce(number)], float(now))
        elif step == "open":
            sessions.open(state(number, owner), float(now))
            opened_by[owner].add(number)
        else:
            sessions.tell([state(number, owner)], [], float(now))
            opened_by[owner].add(number)
        after = {each for each in range(300) if sessions.find(nonce(each)) is not None}
        if step == "open":
            assert before - after <= opened_by[owner]
            assert before <= after or len(before & opened_by[owner]) >= max_sessions or len(before) == 20
            assert len(after & opened_by[owner]) <= max(max_sessions, len(before & opened_by[owner]))
        else:
            assert before <= after


def test_what_is_told_counts_for_the_limit_at_the_next_opening() -> None:
    sessions = book(max_sessions=2)
    sessions.tell([state(number) for number in (1, 2, 3, 4)], [], 0.0)
    told = living(sessions)
    sessions.tell([], [nonce(1)], 1.0)

    sessions.open(state(5), 2.0)

    assert told == [1, 2, 3, 4]
    assert living(sessions) == [4, 5]


# --- idleness ---


def test_only_what_nobody_used_for_so_long_expires() -> None:
    sessions = book()
    for number in (1, 2, 3):
        sessions.open(state(number), float(number))
    sessions.touch([nonce(1), nonce(77)], 50.0)

    expired = sessions.expire(IDLE + 2.0)

    assert expired == 1
    assert living(sessions) == [1, 3]


def test_ten_thousand_sessions_opened_and_abandoned_return_their_memory() -> None:
    limits = ServerSettings()
    sessions = SessionBook(idle_seconds=limits.session_idle_seconds, max_sessions=limits.max_sessions)
    full, left = [], []
    tracemalloc.start()

    for now in (0.0, 10_000.0):
        for _ in range(10_000):
            opened_now = opened(os.urandom(16), "o" * 40, b'{"name":"client","version":"1"}')
            sessions.open(opened_now, now)
            sessions.change(opened_now.nonce, Subscribe(f"file:///{opened_now.nonce.hex()}"))
        full.append(tracemalloc.get_traced_memory()[0])
        assert len(sessions) == 10_000
        sessions.expire(now + limits.session_idle_seconds)
        sessions.expire(now + limits.session_idle_seconds + KEEP_SECONDS)
        del opened_now
        gc.collect()
        left.append(tracemalloc.get_traced_memory()[0])
        assert len(sessions) == 0
    tracemalloc.stop()

    assert full[1] < 10_000 * 1024
    assert left[1] < full[1] / 3
    assert left[1] < left[0] * 1.1


# --- what others knew ---


def test_what_is_told_is_taken_in_and_an_end_wins_whoever_speaks_first() -> None:
    end_first, state_first = book(), book()
    end_first.tell([state(2)], [nonce(1)], 0.0)
    end_first.tell([state(1)], [], 1.0)
    state_first.tell([state(1), state(2)], [], 0.0)
    state_first.tell([], [nonce(1)], 1.0)

    assert living(end_first) == living(state_first) == [2]


def test_who_tells_a_session_that_ended_is_told_its_end_again() -> None:
    sessions = book()
    sessions.open(state(1), 0.0)
    sessions.end([nonce(1)], 1.0)
    seen = sessions.version

    sessions.tell([state(1)], [], 2.0)

    assert sessions.news("g", seen).ended == (nonce(1),)


def test_a_session_there_is_no_room_for_has_ended_for_whoever_told_it() -> None:
    sessions = book(max_total=1)
    sessions.open(state(1, "bob"), 0.0)

    sessions.tell([state(2, "alice")], [], 1.0)

    assert sessions.news("g", 1).ended == (nonce(2),)
    assert living(sessions) == [1]


def test_older_states_undo_nothing() -> None:
    sessions = book()
    sessions.open(state(1), 0.0)
    sessions.change(nonce(1), SetLevel("debug"))
    seen = sessions.version

    sessions.tell([state(1), SessionState(nonce(1), "alice")], [], 1.0)

    assert sessions.version == seen
    found = sessions.find(nonce(1))
    assert found is not None
    assert found.log_level == "debug"


# --- news ---


def test_news_has_each_session_once_and_as_it_is_now() -> None:
    sessions = book()
    for number in (1, 2, 3):
        sessions.open(state(number), 0.0)
    seen = sessions.version
    sessions.change(nonce(1), SetLevel("debug"))
    sessions.change(nonce(2), SetLevel("debug"))
    sessions.change(nonce(1), SetLevel("error"))
    sessions.end([nonce(2)], 1.0)

    news = sessions.news("g", seen)

    assert [(each.nonce, each.log_level) for each in news.states] == [(nonce(1), "error")]
    assert news.ended == (nonce(2),)
    assert (news.generation, news.version, news.reset) == ("g", sessions.version, False)
    assert sessions.news("g", news.version) == SessionNews("g", sessions.version)


def test_much_news_comes_in_parts() -> None:
    sessions = book(max_sessions=5000, max_total=5000, max_changes=5000)
    for number in range(MAX_NEWS + 10):
        sessions.open(state(number), 0.0)

    first = sessions.news("g", 0)
    second = sessions.news("g", first.version)

    assert [each.nonce for each in first.states + second.states] == [nonce(number) for number in range(MAX_NEWS + 10)]
    assert (len(first.states), second.version) == (MAX_NEWS, sessions.version)


def test_who_is_too_far_behind_is_told_so() -> None:
    sessions = book(max_changes=3)
    for number in range(5):
        sessions.open(state(number), 0.0)

    assert sessions.news("g", 1) == SessionNews("g", 5, reset=True)
    assert [each.nonce for each in sessions.news("g", 2).states] == [nonce(2), nonce(3), nonce(4)]


@given(
    st.lists(st.tuples(st.sampled_from(["open", "end", "change", "touch", "read"]), st.integers(0, 5)), max_size=60),
    st.integers(1, 6),
)
def test_who_reads_all_news_knows_exactly_what_lives(steps: list[tuple[str, int]], max_changes: int) -> None:
    sessions = book(max_sessions=4, max_changes=max_changes)
    known: dict[bytes, SessionState] = {}
    seen = 0

    for now, (step, number) in enumerate([*steps, ("read", 0)]):
        if step == "open":
            sessions.open(state(number), float(now))
        elif step == "end":
            sessions.end([nonce(number)], float(now))
        elif step == "change":
            sessions.change(nonce(number), SetLevel(str(now)))
        elif step == "touch":
            sessions.touch([nonce(number)], float(now))
        else:
            news = sessions.news("g", seen)
            seen = news.version
            if news.reset:
                known = everything(sessions)
            known |= {each.nonce: each for each in news.states}
            for each in news.ended:
                known.pop(each, None)

    assert known == everything(sessions)


# --- why sessions end ---


class Ends:
    """What a book told of its ends."""

    def __init__(self, sessions: SessionBook) -> None:
        self.told: list[tuple[int, str, End]] = []
        sessions.on_end = self._note

    def _note(self, ended: bytes, owner: str, why: End) -> None:
        self.told.append((int.from_bytes(ended, "big"), owner, why))


def test_an_end_is_told_once_with_its_owner_and_why() -> None:
    sessions = book(max_sessions=1)
    ends = Ends(sessions)
    for number, owner in ((1, "alice"), (2, "bob"), (3, "bob"), (4, "carol")):
        sessions.open(state(number, owner), 0.0)

    sessions.tell([], [nonce(1)], 1.0, {nonce(1): End.CLIENT})
    sessions.tell([], [nonce(1)], 2.0, {nonce(1): End.CLIENT})
    sessions.touch([nonce(4)], 50.0)
    sessions.expire(IDLE)
    sessions.tell([], [nonce(4)], IDLE, {nonce(4): End.REVOKED})

    assert ends.told == [
        (2, "bob", End.LIMIT),
        (1, "alice", End.CLIENT),
        (3, "bob", End.IDLE),
        (4, "carol", End.REVOKED),
    ]


def test_a_revocation_ends_the_sessions_that_were_opened_with_what_it_is_about_and_no_others() -> None:
    sessions = book()
    heard: list[tuple[bytes, str, End]] = []
    sessions.on_end = lambda *end: heard.append(end)
    before, later = (Credential("alice", "https://id", issued_at=issued_at) for issued_at in (10.0, 20.0))
    for number, credential in enumerate((before, later, before, None)):
        sessions.open(opened(nonce(number), "alice", b"{}", credential), 0.0)
    revocations = Revocations("m", (Revocation(Target.SUBJECT, "alice", before=10.0),))

    some = sessions.revoke(revocations, 1.0, among=[nonce(1), nonce(2), nonce(9)])
    others = sessions.revoke(revocations, 1.0)

    assert (some, others) == (1, 1)
    assert heard == [(nonce(2), "alice", End.REVOKED), (nonce(0), "alice", End.REVOKED)]
    assert living(sessions) == [1, 3]


def test_an_end_that_a_book_before_was_told_of_is_not_told_again() -> None:
    sessions = book()
    ends = Ends(sessions)
    sessions.tell([state(1)], [], 0.0)

    sessions.tell([], [nonce(1), nonce(2), nonce(3)], 1.0, {nonce(3): End.CLIENT})

    assert ends.told == [(3, "", End.CLIENT)]


def test_a_session_that_finds_no_room_ends_for_that_reason_and_one_that_ended_before_does_not_end_twice() -> None:
    sessions = book(max_total=1)
    ends = Ends(sessions)
    sessions.tell([state(1), state(2), state(2)], [], 0.0)
    sessions.end([nonce(1)], 1.0, End.CLIENT)
    sessions.tell([state(1)], [], 2.0)

    assert ends.told == [(2, "alice", End.LIMIT), (1, "alice", End.CLIENT)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["open", "tell", "end", "again", "expire"]), st.integers(0, 5), st.integers(0, 2)),
        max_size=60,
    )
)
def test_every_session_ends_at_most_once_and_what_is_gone_was_told(steps: list[tuple[str, int, int]]) -> None:
    sessions = book(max_sessions=2, max_total=4)
    ends, opened_ever = Ends(sessions), set()
    for now, (step, number, owner) in enumerate(steps):
        if step == "open" and sessions.open(state(number, str(owner)), float(now)):
            opened_ever.add(number)
        elif step == "tell":
            sessions.tell([state(number, str(owner))], [], float(now))
        elif step in ("end", "again"):
            reasons = {nonce(number): End.CLIENT}
            sessions.tell([], [nonce(number)], float(now), reasons)
            sessions.tell([], [nonce(number)], float(now), reasons if step == "again" else {})
        else:
            sessions.expire(float(now))

    told = [number for number, _, _ in ends.told]
    assert len(told) == len(set(told))
    assert opened_ever - set(told) <= set(living(sessions))
    assert not set(told) & set(living(sessions))
