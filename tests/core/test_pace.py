import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.pace import LEAST_SECONDS, MAX_MARKS, MOST_SECONDS, Pace


def paced(*ends: float) -> Pace:
    pace = Pace()
    pace.begin(100.0)
    for end in ends:
        pace.finished(100.0 + end)
    return pace


def test_who_comes_back_finds_done_what_was_before_him_if_all_goes_on_as_it_went():
    pace = paced(2.0, 4.0, 6.0)

    assert pace.seconds_for(5, 106.0) == 10.0


def test_a_stall_is_seen_before_the_next_call_ends():
    pace = paced(1.0, 2.0)

    assert pace.seconds_for(1, 120.0) == 10.0


def test_before_a_call_has_ended_one_takes_as_long_as_was_waited_for_it():
    pace = paced()

    assert pace.seconds_for(2, 103.0) == 6.0


def test_what_was_measured_the_last_time_holds_until_there_is_something_newer():
    pace = paced(4.0, 8.0)
    pace.end()
    pace.begin(200.0)
    remembered = pace.seconds_for(3, 200.0)

    pace.finished(201.0)
    pace.finished(202.0)

    assert remembered == 12.0
    assert pace.seconds_for(3, 202.0) == 3.0


def test_the_ends_of_calls_while_there_is_room_say_nothing():
    pace = Pace()

    for second in range(20):
        pace.finished(100.0 + 30.0 * second)
    pace.begin(1000.0)

    assert pace.seconds_for(1, 1000.0) == LEAST_SECONDS


def test_it_follows_a_change_of_pace():
    pace = paced(*(10.0 * number for number in range(1, 50)))

    for number in range(MAX_MARKS + 1):
        pace.finished(590.0 + 2.0 * number)

    assert pace.seconds_for(3, 590.0 + 2.0 * MAX_MARKS) == pytest.approx(6.0)


@given(
    ends=st.lists(st.floats(0, 1e6), max_size=200).map(sorted), calls=st.integers(1, 100_000), later=st.floats(0, 1e6)
)
def test_it_is_always_between_a_second_and_a_minute(ends, calls, later):
    pace = paced(*ends)

    assert LEAST_SECONDS <= pace.seconds_for(calls, 100.0 + max(ends, default=0.0) + later) <= MOST_SECONDS
