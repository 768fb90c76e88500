from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.core.breaker import TRANSITIONS, Breaker, Event, State
from actors.core.traffic_settings import BreakerSettings

SETTINGS = BreakerSettings(failure_threshold=3, open_seconds=10.0, probe_limit=2, successes_to_close=3)


RATED = BreakerSettings(
    failure_threshold=1000, error_rate=0.5, window_seconds=20.0, min_calls=10, open_seconds=10.0, successes_to_close=3
)


def fail(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        breaker.record(breaker.admit(now), success=False, now=now)


def opened() -> Breaker:
    breaker = Breaker(SETTINGS)
    fail(breaker, 3, now=9.0)
    return breaker


def half_open(now: float = 10.0) -> Breaker:
    breaker = Breaker(SETTINGS)
    fail(breaker, 3)
    breaker.release(breaker.admit(now))
    assert breaker.state is State.HALF_OPEN
    return breaker


class Model(RuleBasedStateMachine):
    """Says after every step what a breaker must do, from a plain account of which calls are out and how they ended."""

    @initialize(
        threshold=st.integers(1, 6),
        rate=st.sampled_from([0.3, 0.5, 1.0]),
        min_calls=st.integers(2, 8),
        probes=st.integers(1, 3),
        successes=st.integers(1, 3),
        luck=st.sampled_from([None, 0.0, 0.75]),
    )
    def start(self, threshold, rate, min_calls, probes, successes, luck):
        self.settings = BreakerSettings(
            failure_threshold=threshold,
            error_rate=rate,
            window_seconds=20.0,
            min_calls=min_calls,
            open_seconds=10.0,
            max_open_seconds=50.0,
            probe_limit=probes,
            successes_to_close=successes,
        )
        self.luck = 1.0 if luck is None else luck
        self.breaker = Breaker(self.settings, None if luck is None else lambda: luck)
        self.now = 0.0
        self.state = State.CLOSED
        self.events = []
        """What moved it, in order."""
        self.streak = 0
        """Failures in a row while closed, successes in a row while half-open."""
        self.ended = []
        """When each call ended since it was closed, and whether it failed."""
        self.rounds = 0
        """Failed probes since it was closed."""
        self.probes_at = 0.0
        self.current = []
        """Permits given since the last change of state and not yet handed back."""
        self.stragglers = []

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.0, 9.9, 10.0, 30.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def a_call_comes(self):
        permit = self.breaker.admit(self.now)

        if self.state is State.OPEN and self.now >= self.probes_at:
            self.change(State.HALF_OPEN, Event.OPEN_ELAPSED)
        full = self.state is State.HALF_OPEN and len(self.current) >= self.settings.probe_limit
        assert (permit is None) == (self.state is State.OPEN or full)
        if permit is not None:
            self.current.append(permit)

    @precondition(lambda self: self.current)
    @rule(data=st.data(), success=st.booleans())
    def a_call_ends(self, data, success):
        self.end(self.current.pop(data.draw(st.integers(0, len(self.current) - 1))), success)

    @rule(endings=st.lists(st.booleans(), max_size=6))
    def some_calls_come_and_end(self, endings):
        for success in endings:
            self.a_call_comes()
            if self.state is State.OPEN or not self.current:
                return
            self.end(self.current.pop(), success)

    def end(self, permit, success):
        self.breaker.record(permit, success=success, now=self.now)

        if self.state is State.HALF_OPEN and success:
            self.streak += 1
            if self.streak == self.settings.successes_to_close:
                self.change(State.CLOSED, Event.PROBES_SUCCEEDED)
        elif self.state is State.HALF_OPEN:
            self.rounds += 1
            self.change(State.OPEN, Event.PROBE_FAILED)
        else:
            self.streak = 0 if success else self.streak + 1
            self.ended.append((self.now, not success))
            if not success and (self.streak == self.settings.failure_threshold or self.too_many_failed()):
                self.change(State.OPEN, Event.TRIPPED)

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

    @rule()
    def somebody_trips_it(self):
        self.breaker.trip(self.now)
        self.change(State.OPEN, Event.TRIPPED_BY_HAND)

    @rule()
    def somebody_resets_it(self):
        self.breaker.reset(self.now)
        self.change(State.CLOSED, Event.RESET_BY_HAND)

    def too_many_failed(self):
        tenth = self.settings.window_seconds / 10
        recent = [failed for when, failed in self.ended if self.now // tenth - when // tenth < 10]
        return len(recent) >= self.settings.min_calls and sum(recent) / len(recent) >= self.settings.error_rate

    def change(self, state, event):
        self.state = state
        self.events.append(event)
        self.streak = 0
        self.ended = []
        self.rounds = 0 if state is State.CLOSED else self.rounds
        longest = min(50.0, 10.0 * 2**self.rounds)
        self.probes_at = self.now + (max(10.0, longest * (0.5 + self.luck / 2)) if self.rounds else 10.0)
        self.stragglers += self.current
        self.current = []

    @invariant()
    def the_state_is_as_told(self):
        assert self.breaker.state is self.state
        left = max(0.0, self.probes_at - self.now) if self.state is State.OPEN else None
        assert self.breaker.retry_after(self.now) == (None if left is None else pytest.approx(left, abs=1e-9))
        counts = tuple(self.events.count(event) for event in Event)
        assert self.breaker.transitions == (counts if any(counts) else ())


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


def test_one_failed_probe_opens_it_again_for_twice_the_time():
    breaker = half_open()
    breaker.record(breaker.admit(12.0), success=True, now=12.0)

    breaker.record(breaker.admit(12.0), success=False, now=13.0)

    assert breaker.state is State.OPEN
    assert breaker.retry_after(13.0) == 20.0


def opened_for(breaker: Breaker, rounds: int) -> list[float]:
    """Trip it, and let a probe fail each time that it admits one; how long it was open each time."""
    fail(breaker, 3)
    now, times = 0.0, []
    for _ in range(rounds):
        times.append(breaker.retry_after(now))
        now += times[-1]
        breaker.record(breaker.admit(now), success=False, now=now)
    return times


def test_it_stays_open_for_longer_each_time_up_to_the_cap():
    settings = replace(SETTINGS, max_open_seconds=60.0)

    assert opened_for(Breaker(settings), 5) == [10.0, 20.0, 40.0, 60.0, 60.0]


def test_dice_shorten_only_the_times_for_which_it_opens_again_and_never_below_the_first():
    settings = replace(SETTINGS, max_open_seconds=60.0)

    assert opened_for(Breaker(settings, lambda: 0.0), 5) == [10.0, 10.0, 20.0, 30.0, 30.0]
    assert opened_for(Breaker(settings, lambda: 0.5), 3) == [10.0, 15.0, 30.0]


def test_a_cap_below_the_first_time_does_not_shorten_that():
    settings = replace(SETTINGS, max_open_seconds=1.0)

    assert opened_for(Breaker(settings, lambda: 0.0), 3) == [10.0, 10.0, 10.0]


def test_once_closed_it_opens_for_the_first_time_again():
    breaker = Breaker(SETTINGS)
    opened_for(breaker, 3)
    for _ in range(3):
        breaker.record(breaker.admit(1000.0), success=True, now=1000.0)

    fail(breaker, 3, now=1000.0)

    assert breaker.retry_after(1000.0) == 10.0


def take_turns(breaker: Breaker, endings: str, now: float = 0.0) -> None:
    """So many calls, one after the other: `+` succeeds and `-` fails."""
    for ending in endings:
        breaker.record(breaker.admit(now), success=ending == "+", now=now)


def test_a_share_of_failures_trips_it_though_none_follow_each_other():
    breaker = Breaker(RATED)

    take_turns(breaker, "+-+-+-+-+")
    before = breaker.state
    take_turns(breaker, "-")

    assert (before, breaker.state) == (State.CLOSED, State.OPEN)


def test_a_success_never_trips_it():
    breaker = Breaker(RATED)

    take_turns(breaker, "-+--+--++")
    take_turns(breaker, "+")

    assert breaker.state is State.CLOSED


def test_a_share_below_the_rate_never_trips_it():
    breaker = Breaker(RATED)

    for _ in range(50):
        take_turns(breaker, "+-+")

    assert breaker.state is State.CLOSED


def test_what_the_window_has_forgotten_counts_no_more():
    breaker = Breaker(RATED)

    take_turns(breaker, "+-+-+-+-", now=0.0)
    take_turns(breaker, "+-+-", now=20.0)

    assert breaker.state is State.CLOSED


def test_failures_from_before_it_was_open_count_no_more():
    breaker = Breaker(RATED)
    take_turns(breaker, "+-+-+-+-+-")
    take_turns(breaker, "+++", now=10.0)
    assert breaker.state is State.CLOSED

    take_turns(breaker, "-", now=10.0)

    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("first", State)
def test_tripped_by_hand_it_is_open_for_the_first_time_from_then_on(first):
    breaker = {State.CLOSED: lambda: Breaker(SETTINGS), State.OPEN: opened, State.HALF_OPEN: half_open}[first]()
    assert breaker.state is first

    breaker.trip(15.0)

    assert breaker.state is State.OPEN
    assert breaker.retry_after(15.0) == 10.0
    assert breaker.admit(24.9) is None
    assert breaker.admit(25.0) is not None


@pytest.mark.parametrize("first", State)
def test_reset_by_hand_it_is_closed_and_starts_from_nothing(first):
    breaker = {State.CLOSED: lambda: Breaker(SETTINGS), State.OPEN: opened, State.HALF_OPEN: half_open}[first]()
    if first is State.CLOSED:
        fail(breaker, 2)

    breaker.reset(15.0)
    fail(breaker, 2, now=15.0)

    assert breaker.state is State.CLOSED


def test_calls_under_way_when_it_is_reset_say_nothing_any_more():
    breaker = Breaker(SETTINGS)
    early = [breaker.admit(0.0) for _ in range(3)]

    breaker.reset(1.0)
    for permit in early:
        breaker.record(permit, success=False, now=2.0)

    assert breaker.state is State.CLOSED


def test_with_another_server_in_the_place_of_the_failed_one_an_open_breaker_tries_it_at_once():
    breaker = opened()

    breaker.renew(9.5)

    assert breaker.admit(9.5) is not None
    assert breaker.state is State.HALF_OPEN


def test_what_was_opened_by_hand_stays_open_for_another_server_too():
    breaker = Breaker(SETTINGS)
    breaker.trip(0.0)

    breaker.renew(1.0)

    assert breaker.admit(1.0) is None
    assert breaker.retry_after(1.0) == 9.0


@pytest.mark.parametrize("now", [0.0, 10.0])
def test_another_server_changes_nothing_unless_it_is_open(now):
    closed, probing = Breaker(SETTINGS), half_open()

    closed.renew(now)
    probing.renew(now)

    assert (closed.state, probing.state) == (State.CLOSED, State.HALF_OPEN)


def test_every_event_moves_some_state_and_every_state_can_be_moved_by_hand():
    assert {event for _, event in TRANSITIONS} == set(Event)
    by_hand = {Event.TRIPPED_BY_HAND: State.OPEN, Event.RESET_BY_HAND: State.CLOSED}
    assert all(TRANSITIONS[state, event] is end for state in State for event, end in by_hand.items())


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
