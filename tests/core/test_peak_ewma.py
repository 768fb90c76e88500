from math import e

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.balancing.peak_ewma import DECAY_SECONDS, FAILURE_SECONDS, UNKNOWN_SECONDS, PeakEwma

SECONDS = st.floats(0, 1000)


def test_a_slower_answer_counts_at_once_and_whole():
    known = PeakEwma()
    known.record("a", 0.1, 0.0, success=True)

    known.record("a", 2.0, 1.0, success=True)

    assert known.load("a", 0, 1.0) == 2.0


def test_quicker_answers_count_little_by_little():
    known = PeakEwma()
    known.record("a", 1.0, 0.0, success=True)

    known.record("a", 0.0, 0.0, success=True)
    at_once = known.load("a", 0, 0.0)
    known.record("a", 0.1, DECAY_SECONDS, success=True)

    assert at_once == 1.0
    assert known.load("a", 0, DECAY_SECONDS) == pytest.approx(1.0 / e + 0.1 * (1 - 1 / e))


def test_a_slow_one_is_tried_again_after_a_while_though_nothing_was_heard_of_it():
    known = PeakEwma()
    known.record("slow", 5.0, 0.0, success=True)
    known.record("quick", 0.1, 60.0, success=True)

    assert known.load("slow", 0, 0.0) == 5.0
    assert known.load("slow", 0, 60.0) < known.load("quick", 0, 60.0)


def test_load_grows_with_the_calls_in_flight():
    known = PeakEwma()
    known.record("a", 0.5, 0.0, success=True)

    assert [known.load("a", calls, 0.0) for calls in (0, 1, 4)] == [0.5, 1.0, 2.5]


def test_one_of_which_nothing_is_known_gets_one_call_and_then_no_more():
    known = PeakEwma()

    assert known.load("new", 0, 0.0) == 0.0
    assert known.load("new", 1, 0.0) == UNKNOWN_SECONDS


def test_a_failure_at_once_is_no_quick_answer_and_a_slow_one_is_as_slow_as_it_was():
    known = PeakEwma()

    known.record("a", 0.001, 0.0, success=False)
    known.record("b", 30.0, 0.0, success=False)

    assert known.load("a", 0, 0.0) == FAILURE_SECONDS
    assert known.load("b", 0, 0.0) == 30.0


def test_nothing_is_kept_of_replicas_that_are_gone():
    known = PeakEwma()
    for name in "abc":
        known.record(name, 1.0, 0.0, success=True)

    known.keep({"b", "c"})
    known.forget("c")

    assert [known.load(name, 1, 0.0) for name in "abc"] == [UNKNOWN_SECONDS, 2.0, UNKNOWN_SECONDS]


@given(calls=st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=30))
def test_an_average_is_always_between_what_it_was_and_the_last_call_and_a_peak_is_taken_whole(calls):
    known = PeakEwma()
    now, before = 0.0, 0.0
    for seconds, pause in calls:
        now += pause

        known.record("a", seconds, now, success=True)

        after = known.load("a", 0, now)
        if seconds >= before:
            assert after == pytest.approx(seconds)
        else:
            assert seconds * (1 - 1e-9) <= after <= before * (1 + 1e-9)
        before = after
