import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.backoff import Backoff, CrashLoop

DICE = st.floats(0, 1, exclude_max=True)
BACKOFFS = st.builds(
    lambda first, spread, factor, jitter: Backoff(first=first, cap=first * spread, factor=factor, jitter=jitter),
    st.floats(0.001, 10),
    st.floats(1, 1000),
    st.floats(1, 100),
    st.floats(0, 1),
)


@given(backoff=BACKOFFS, attempt=st.integers(0, 100_000), dice=DICE)
def test_a_wait_is_never_over_the_cap_nor_under_the_share_without_jitter(backoff, attempt, dice):
    delay = backoff.delay(attempt, dice)

    assert backoff.first * (1 - backoff.jitter) * 0.999 <= delay <= backoff.cap


@given(backoff=BACKOFFS, attempt=st.integers(0, 100_000), dice=DICE)
def test_with_the_same_dice_a_later_wait_is_never_shorter(backoff, attempt, dice):
    assert backoff.delay(attempt, dice) <= backoff.delay(attempt + 1, dice)


@given(attempt=st.integers(0, 50), dice=DICE)
def test_full_jitter_spreads_over_the_whole_wait(attempt, dice):
    full = Backoff(first=1, factor=2, cap=64, jitter=1)

    assert full.delay(attempt, dice) == pytest.approx(min(64, 2**attempt) * dice)


def test_waits_double_up_to_the_cap():
    backoff = Backoff(first=1, factor=2, cap=5, jitter=0)

    assert [backoff.delay(attempt, 0.3) for attempt in range(5)] == [1, 2, 4, 5, 5]


def test_equal_jitter_keeps_half_of_the_wait():
    backoff = Backoff(first=4, cap=4, jitter=0.5)

    assert backoff.delay(0, 0.0) == 2
    assert backoff.delay(0, 0.5) == 3


@pytest.mark.parametrize(
    "wrong", [{"first": 0.0}, {"first": 2.0, "cap": 1.0}, {"factor": 0.5}, {"jitter": 1.5}, {"jitter": -0.1}]
)
def test_a_backoff_which_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Backoff(**wrong)


@given(
    limit=st.integers(1, 6),
    window=st.integers(1, 20),
    gaps=st.lists(st.integers(0, 15), min_size=1, max_size=30),
)
def test_a_crash_loop_is_exactly_limit_exits_within_the_window(limit, window, gaps):
    loop = CrashLoop(limit, window)
    times = []

    for gap in gaps:
        times.append((times[-1] if times else 1000) + gap)
        reached = loop.record(times[-1])

        recent = [time for time in times if times[-1] - time <= window]
        assert reached == (len(recent) >= limit)


def test_after_a_reset_a_crash_loop_starts_anew():
    loop = CrashLoop(2, 10.0)
    loop.record(0.0)

    loop.reset()

    assert not loop.record(1.0)
    assert loop.record(2.0)


def test_a_crash_loop_needs_at_least_one_exit():
    with pytest.raises(ValueError, match="at least 1"):
        CrashLoop(0, 10.0)
