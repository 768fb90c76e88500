import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.core.ejection import EJECTING, MAX_TIMES, Ejections
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from actors.core.traffic_settings import EjectionSettings

REPLY = Reply(b"{}", Era.MODERN)
ERROR = Reply(b'{"code":-32603,"message":"no"}', Era.MODERN, is_error=True)
LOST = Failure(FailureKind.DISCONNECTED, "git")
BUSY = Failure(FailureKind.BUSY, "git")

FOUR = ["a", "b", "c", "d"]


def ejections(names=FOUR, **changed):
    made = Ejections(EjectionSettings(**{"failures": 3, "seconds": 10.0, **changed}))
    made.keep(names)
    return made


def fail(made, name, times=3, now=0.0):
    return [made.record(name, LOST, now) for _ in range(times)]


def test_consecutive_failures_eject_and_the_last_of_them_says_for_how_long():
    made = ejections()

    assert fail(made, "a") == [None, None, 10.0]
    assert made.ejected(0.0) == {"a"}


@pytest.mark.parametrize("reply", [REPLY, ERROR])
def test_a_reply_between_failures_and_be_it_an_error_ends_the_row(reply):
    made = ejections()

    fail(made, "a", 2)
    made.record("a", reply, 0.0)
    fail(made, "a", 2)

    assert not made.ejected(0.0)


@pytest.mark.parametrize("kind", FailureKind)
def test_only_what_speaks_against_the_replica_counts_and_all_else_is_passed_over(kind):
    made = ejections()

    fail(made, "a", 2)
    made.record("a", Failure(kind, "git"), 0.0)
    by_kind = set(made.ejected(0.0))
    fail(made, "a", 1)

    assert by_kind == ({"a"} if kind in EJECTING else set())
    assert made.ejected(0.0) == {"a"}


def test_limits_breakers_clients_and_their_requests_eject_nobody():
    assert set(FailureKind) - EJECTING == {
        FailureKind.BREAKER_OPEN,
        FailureKind.BUSY,
        FailureKind.CANCELLED,
        FailureKind.UNSUPPORTED,
        FailureKind.SUPERSEDED,
        FailureKind.REPLAYED,
        FailureKind.SESSION_LOST,
        FailureKind.UNAUTHORIZED,
        FailureKind.CONSENT,
    }


def test_an_ejection_ends_by_itself_and_failures_meanwhile_do_not_prolong_it():
    made = ejections()
    fail(made, "a")

    fail(made, "a", 50, now=9.0)

    assert made.ejected(9.9) == {"a"}
    assert not made.ejected(10.0)


def test_each_ejection_in_a_row_is_longer_up_to_a_cap_and_takes_one_failure():
    made = ejections()
    fail(made, "a", 2)
    now, lengths = 0.0, []

    for _ in range(MAX_TIMES + 2):
        seconds = made.record("a", LOST, now)
        lengths.append(seconds)
        now += seconds

    assert lengths == [10.0 * times for times in [*range(1, MAX_TIMES + 1), MAX_TIMES, MAX_TIMES]]


def test_a_reply_after_its_return_gives_it_all_its_chances_again():
    made = ejections()
    fail(made, "a")

    made.record("a", REPLY, 10.0)

    assert fail(made, "a", now=11.0) == [None, None, 10.0]


def test_no_more_than_the_share_is_ejected_and_a_place_goes_to_the_next_when_it_is_free():
    made = ejections()

    lengths = [fail(made, name, now=start)[-1] for start, name in enumerate(FOUR)]

    assert lengths == [10.0, 10.0, None, None]
    assert made.ejected(9.0) == {"a", "b"}
    assert made.ejected(10.5) == {"b", "c"}
    assert made.ejected(12.5) == {"d"}


@pytest.mark.parametrize(("names", "share", "most"), [("a", 0.5, 0), ("ab", 0.5, 1), ("abc", 1.0, 3), ("abc", 0.0, 0)])
def test_the_share_is_of_all_replicas_that_there_are(names, share, most):
    made = ejections(list(names), max_share=share)

    for name in names:
        fail(made, name)

    assert len(made.ejected(0.0)) == most


def test_a_replica_that_is_another_one_by_now_starts_without_a_record():
    made = ejections()
    fail(made, "a")

    made.forget("a")

    assert not made.ejected(0.0)
    assert fail(made, "a", now=1.0) == [None, None, 10.0]


def test_nothing_is_kept_of_replicas_that_are_gone_or_well():
    made = ejections()
    for name in FOUR:
        fail(made, name)

    made.keep(["d"])
    for _ in range(2):
        made.record("d", REPLY, 20.0)
    made.ejected(20.0)

    assert not made._records
    assert not made._until


class Model(RuleBasedStateMachine):
    """Any outcomes at any times, and never too many ejected, too long, or without a reason."""

    @initialize(share=st.floats(0, 1), failures=st.integers(1, 4))
    def start(self, share, failures):
        self.settings = EjectionSettings(failures=failures, seconds=10.0, max_share=share)
        self.made = Ejections(self.settings)
        self.names = set()
        self.now = 0.0
        self.streaks = {}
        self.last_failure = {}
        self.join_and_leave(set(FOUR))

    @rule(names=st.sets(st.sampled_from("abcdefgh"), min_size=1))
    def join_and_leave(self, names):
        self.made.keep(names)
        self.names = names
        self.streaks = {name: streak for name, streak in self.streaks.items() if name in names}

    @rule(data=st.data(), outcome=st.sampled_from([REPLY, LOST, LOST, LOST, BUSY]))
    def note(self, data, outcome):
        name = data.draw(st.sampled_from(sorted(self.names)))
        self.made.record(name, outcome, self.now)
        if outcome is REPLY:
            self.streaks[name] = 0
        elif outcome is LOST:
            self.streaks[name] = self.streaks.get(name, 0) + 1
            if self.streaks[name] >= self.settings.failures:
                self.last_failure[name] = self.now

    @rule(seconds=st.floats(0, 200))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def never_too_many_and_never_without_a_reason(self):
        ejected = self.made.ejected(self.now)
        assert len(ejected) <= self.settings.max_share * len(self.names)
        assert set(ejected) <= self.names
        for name in ejected:
            assert self.now - self.last_failure[name] < self.settings.seconds * MAX_TIMES


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


@given(names=st.lists(st.sampled_from(FOUR), min_size=1, max_size=60))
def test_nobody_is_ejected_that_never_failed(names):
    made = ejections(max_share=1.0)

    for name in names:
        made.record(name, LOST, 0.0)

    assert set(made.ejected(0.0)) == {name for name in FOUR if names.count(name) >= 3}
