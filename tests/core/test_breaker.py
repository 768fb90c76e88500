import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.core.breaker import Breaker, State
from actors.core.settings import BreakerSettings

SETTINGS = BreakerSettings(failure_threshold=3, open_seconds=10.0, probe_limit=2, successes_to_close=3)


def fail(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        breaker.record(breaker.admit(now), success=False, now=now)


def half_open(now: float = 10.0) -> Breaker:
    breaker = Breaker(SETTINGS)
    fail(breaker, 3)
    breaker.release(breaker.admit(now))
    assert breaker.state is State.HALF_OPEN
    return breaker


class Model(RuleBasedStateMachine):
    """Says after every step what a breaker must do, from a plain account of which calls are out and how they ended."""

    @initialize(threshold=st.integers(1, 3), probes=st.integers(1, 3), successes=st.integers(1, 3))
    def start(self, threshold, probes, successes):
        self.settings = BreakerSettings(
            failure_threshold=threshold, open_seconds=10.0, probe_limit=probes, successes_to_close=successes
        )
        self.breaker = Breaker(self.settings)
        self.now = 0.0
        self.state = State.CLOSED
        self.streak = 0
        """Failures in a row while closed, successes in a row while half-open."""
        self.opened_at = 0.0
        self.current = []
        """Permits given since the last change of state and not yet handed back."""
        self.stragglers = []

    @rule(seconds=st.sampled_from([0.1, 1.0, 9.9, 10.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def a_call_comes(self):
        permit = self.breaker.admit(self.now)

        if self.state is State.OPEN and self.now - self.opened_at >= 10.0:
            self.change(State.HALF_OPEN)
        full = self.state is State.HALF_OPEN and len(self.current) >= self.settings.probe_limit
        assert (permit is None) == (self.state is State.OPEN or full)
        if permit is not None:
            self.current.append(permit)

    @precondition(lambda self: self.current)
    @rule(data=st.data(), success=st.booleans())
    def a_call_ends(self, data, success):
        permit = self.current.pop(data.draw(st.integers(0, len(self.current) - 1)))
        self.breaker.record(permit, success=success, now=self.now)

        if self.state is State.HALF_OPEN and success:
            self.streak += 1
            if self.streak == self.settings.successes_to_close:
                self.change(State.CLOSED)
        elif self.state is State.HALF_OPEN:
            self.change(State.OPEN)
        else:
            self.streak = 0 if success else self.streak + 1
            if self.streak == self.settings.failure_threshold:
                self.change(State.OPEN)

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def a_call_is_cancelled(self, data):
        self.breaker.release(self.current.pop(data.draw(st.integers(0, len(self.current) - 1))))

    @precondition(lambda self: self.stragglers)
    @rule(data=st.data(), ending=st.sampled_from([True, False, None]))
    def a_straggler_ends(self, data, ending):
        permit = self.stragglers.pop(data.draw(st.integers(0, len(self.stragglers) - 1)))
        if ending is None:
            self.breaker.release(permit)
        else:
            self.breaker.record(permit, success=ending, now=self.now)

    def change(self, state):
        self.state = state
        self.streak = 0
        self.opened_at = self.now
        self.stragglers += self.current
        self.current = []

    @invariant()
    def the_state_is_as_told(self):
        assert self.breaker.state is self.state
        left = max(0.0, self.opened_at + 10.0 - self.now) if self.state is State.OPEN else None
        assert self.breaker.retry_after(self.now) == left


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def test_failures_with_a_success_between_them_never_trip_it():
    breaker = Breaker(SETTINGS)

    for _ in range(5):
        fail(breaker, 2)
        breaker.record(breaker.admit(0.0), success=True, now=0.0)

    assert breaker.state is State.CLOSED


def test_consecutive_failures_trip_it_and_calls_are_refused_until_the_time_is_over():
    breaker = Breaker(SETTINGS)

    fail(breaker, 3, now=5.0)

    assert breaker.admit(14.9) is None
    assert breaker.retry_after(12.0) == 3.0
    assert breaker.admit(15.0) is not None


def test_half_open_admits_only_so_many_probes_at_once():
    breaker = half_open()

    probes = [breaker.admit(10.0) for _ in range(4)]

    assert [probe is not None for probe in probes] == [True, True, False, False]
    breaker.record(probes[0], success=True, now=10.0)
    assert breaker.admit(10.0) is not None


def test_enough_successful_probes_close_it():
    breaker = half_open()

    for _ in range(3):
        assert breaker.state is State.HALF_OPEN
        breaker.record(breaker.admit(10.0), success=True, now=10.0)

    assert breaker.state is State.CLOSED


def test_one_failed_probe_opens_it_for_the_whole_time_again():
    breaker = half_open()
    breaker.record(breaker.admit(12.0), success=True, now=12.0)

    breaker.record(breaker.admit(12.0), success=False, now=13.0)

    assert breaker.state is State.OPEN
    assert breaker.retry_after(13.0) == 10.0


def test_a_cancelled_probe_makes_room_for_another_and_says_nothing():
    breaker = half_open()
    first, _second = breaker.admit(10.0), breaker.admit(10.0)

    breaker.release(first)

    assert breaker.state is State.HALF_OPEN
    assert breaker.admit(10.0) is not None
    assert breaker.admit(10.0) is None


@pytest.mark.parametrize("success", [True, False])
def test_a_call_from_before_the_trip_is_not_taken_for_a_probe(success):
    breaker = Breaker(SETTINGS)
    early = [breaker.admit(0.0) for _ in range(4)]
    fail(breaker, 3)
    probe = breaker.admit(10.0)

    for permit in early:
        breaker.record(permit, success=success, now=10.0)

    assert breaker.state is State.HALF_OPEN
    for _ in range(2):
        breaker.record(probe, success=True, now=10.0)
        probe = breaker.admit(10.0)
    breaker.record(probe, success=True, now=10.0)
    assert breaker.state is State.CLOSED


@given(threshold=st.integers(1, 20))
def test_it_trips_at_exactly_the_threshold(threshold):
    breaker = Breaker(BreakerSettings(failure_threshold=threshold))

    fail(breaker, threshold - 1)
    before = breaker.state
    fail(breaker, 1)

    assert (before, breaker.state) == (State.CLOSED, State.OPEN)
