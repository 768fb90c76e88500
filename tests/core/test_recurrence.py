"""Whatever happens without end is told of ever more rarely, and never kept quiet for good."""

from hypothesis import given
from hypothesis import strategies as st

from actors.core.recurrence import Recurrence


def test_it_is_told_of_the_first_time_and_then_as_often_as_the_count_has_doubled() -> None:
    recurrence = Recurrence()

    told = [recurrence.count for _ in range(20) if recurrence.again()]

    assert told == [1, 2, 4, 8, 16]


@given(times=st.integers(1, 5000))
def test_what_was_told_last_is_always_more_than_half_of_all(times: int) -> None:
    recurrence = Recurrence()

    told = [recurrence.count for _ in range(times) if recurrence.again()]

    assert recurrence.count == times
    assert len(told) <= times.bit_length()
    assert told[-1] * 2 > times
