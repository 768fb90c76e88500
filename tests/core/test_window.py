import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.window import BUCKETS, Counts, Window

events = st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=60)
"""Seconds since the one before, and whether the call failed."""


@given(events=events, rest=st.integers(0, 30))
def test_it_holds_all_of_the_last_nine_tenths_and_none_that_is_older_than_the_window(events, rest):
    window = Window(20.0)
    now, happened = 0, []
    for pause, failed in events:
        now += pause
        happened.append((now, failed))
        window.record(float(now), failed=failed)
    now += rest

    counts = window.counts(float(now))

    fresh = [failed for when, failed in happened if now - when <= 18]
    known = [failed for when, failed in happened if now - when < 20]
    assert len(fresh) <= counts.calls <= len(known)
    assert sum(fresh) <= counts.failures <= sum(known)


def test_what_has_left_it_does_not_come_back_with_a_new_call():
    window = Window(10.0)
    for _ in range(5):
        window.record(0.0, failed=True)

    window.record(10.0, failed=False)

    assert window.counts(10.0) == Counts(1, 0)


def test_it_is_no_larger_after_many_calls():
    window = Window(10.0)

    for tenth in range(10_000):
        window.record(tenth / 10, failed=False)

    assert len(window._buckets) == BUCKETS
    assert window.counts(999.9) == Counts(100, 0)


def test_cleared_it_holds_nothing():
    window = Window(10.0)
    window.record(1.0, failed=True)

    window.clear()

    assert window.counts(1.0) == Counts(0, 0)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_window_of_no_length_is_refused(seconds):
    with pytest.raises(ValueError, match="positive"):
        Window(seconds)
