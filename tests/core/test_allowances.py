"""How much an allowance gives, by both ways of counting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.limit_settings import RateSettings, Window
from actors.core.limits.allowance import gauge_of
from actors.core.limits.sliding_window import SlidingWindow
from actors.core.limits.token_bucket import ENOUGH, TokenBucket

START = 1000.0


def bucket(calls: int = 10, seconds: float = 10.0, burst: int | None = None) -> TokenBucket:
    return TokenBucket(RateSettings(name="x", calls=calls, seconds=seconds, burst=burst), START)


def window(calls: int = 10, seconds: float = 10.0) -> SlidingWindow:
    return SlidingWindow(RateSettings(name="x", calls=calls, seconds=seconds, window=Window.SLIDING), START)


def admitted(allowance: TokenBucket | SlidingWindow, now: float, most: int = 1000) -> int:
    """How many calls it admits at one moment, each taken."""
    count = 0
    while count < most and not allowance.ask(now):
        allowance.take()
        count += 1
    return count


def test_a_bucket_gives_its_burst_at_once_and_then_as_much_as_flows_in() -> None:
    given_out = bucket(burst=3)

    assert [admitted(given_out, START + seconds) for seconds in (0.0, 0.5, 1.0, 3.0, 100.0)] == [3, 0, 1, 2, 3]


def test_without_a_burst_a_bucket_holds_all_calls_of_its_time() -> None:
    assert admitted(bucket(), START) == 10


def test_a_window_gives_its_calls_and_then_as_those_before_move_out_of_it() -> None:
    given_out = window()

    assert admitted(given_out, START + 4.0) == 10
    assert [admitted(given_out, START + seconds) for seconds in (10.0, 10.9, 11.0, 15.0, 20.0)] == [0, 0, 1, 4, 5]


def test_a_window_forgets_what_was_before_the_one_before() -> None:
    given_out = window()
    admitted(given_out, START)

    assert admitted(given_out, START + 20.0) == 10


@pytest.mark.parametrize("kind", Window)
@given(
    calls=st.integers(1, 50),
    seconds=st.floats(0.5, 100.0),
    pauses=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=30),
)
def test_whoever_waits_as_long_as_said_is_admitted_and_not_a_moment_earlier(
    kind: Window, calls: int, seconds: float, pauses: list[float]
) -> None:
    allowance = gauge_of(RateSettings(name="x", calls=calls, seconds=seconds, window=kind), START)
    now = START

    for pause in pauses:
        now += pause
        admitted(allowance, now)
        wait = allowance.ask(now)
        assert wait > 0
        earlier = wait - 2 * (1 - ENOUGH) * seconds
        assert earlier <= 0 or allowance.ask(now + earlier) > 0
        assert allowance.ask(now + wait) == 0
        now += wait


@given(
    calls=st.integers(1, 20),
    seconds=st.floats(0.5, 20.0),
    pauses=st.lists(st.floats(0.0, 10.0), min_size=1, max_size=40),
)
def test_no_more_than_burst_and_rate_is_ever_given_in_any_time(calls: int, seconds: float, pauses: list[float]) -> None:
    allowance = bucket(calls, seconds)
    now, times = START, []
    for pause in pauses:
        now += pause
        times += [now] * admitted(allowance, now)

    for first, since in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= calls + (times[last] - since) * calls / seconds + 1e-3


@given(
    calls=st.integers(1, 20),
    seconds=st.floats(0.5, 20.0),
    pauses=st.lists(st.floats(0.0, 10.0), min_size=1, max_size=40),
)
def test_no_two_windows_in_a_row_get_more_than_twice_the_calls(calls: int, seconds: float, pauses: list[float]) -> None:
    allowance = window(calls, seconds)
    now, times = START, []
    for pause in pauses:
        now += pause
        times += [now] * admitted(allowance, now)

    for since in times:
        assert sum(since <= each < since + seconds for each in times) <= 2 * calls


@pytest.mark.parametrize("kind", Window)
def test_it_says_when_everything_may_be_used_again(kind: Window) -> None:
    allowance = gauge_of(RateSettings(name="x", calls=10, seconds=10.0, window=kind), START)
    admitted(allowance, START, most=5)

    whole = allowance.reset(START + 1.0)

    assert whole == pytest.approx(4.0 if kind is Window.TOKEN_BUCKET else 19.0)
    assert admitted(allowance, START + 1.0 + whole) == 10


@pytest.mark.parametrize("kind", Window)
def test_what_was_made_elsewhere_counts_as_if_it_had_been_made_here(kind: Window) -> None:
    rate = RateSettings(name="x", calls=10, seconds=10.0, window=kind)
    here, told = gauge_of(rate, START), gauge_of(rate, START)
    admitted(here, START + 5.0, most=7)

    told.settle(START + 5.0, spent=7, unseen=0.0, lag=0.5)

    assert told.room(START + 5.0) == pytest.approx(3.0, abs=0.5)
    assert admitted(told, START + 5.0) == admitted(here, START + 5.0) == 3


def test_calls_told_of_after_the_end_of_a_window_count_in_the_window_they_were_made_in() -> None:
    told = window(calls=10, seconds=10.0)

    told.settle(START + 10.1, spent=10, unseen=0.0, lag=0.5)

    assert told.room(START + 18.0) == pytest.approx(10 - 8 * 0.2 - 2)


def test_a_bucket_that_was_told_of_a_burst_too_late_has_not_been_filling_for_nothing() -> None:
    told = bucket(calls=50, seconds=1.0, burst=5)

    told.settle(START + 0.5, spent=25, unseen=0.0, lag=0.5)
    after_rest = bucket(calls=50, seconds=1.0, burst=5)
    after_rest.settle(START + 3600.0, spent=30, unseen=0.0, lag=0.5)

    assert told.room(START + 0.5) == pytest.approx(5.0)
    assert after_rest.room(START + 3600.0) == pytest.approx(0.0)
