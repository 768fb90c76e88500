"""How many replicas a backend shall have."""

from hypothesis import given
from hypothesis import strategies as st

from actors.core.scaling import Scaling
from actors.core.traffic_settings import ScaleSettings

SETTINGS = ScaleSettings(min=1, max=4, target_in_flight=8.0, idle_timeout=60.0)
TO_ZERO = ScaleSettings(min=0, max=4, target_in_flight=8.0, idle_timeout=60.0)


def test_more_work_gets_more_replicas_at_once_up_to_the_most() -> None:
    scaling = Scaling()

    assert scaling.wanted(SETTINGS, 1, 8, 0.0) == 1
    assert scaling.wanted(SETTINGS, 1, 9, 1.0) == 2
    assert scaling.wanted(SETTINGS, 2, 1000, 2.0) == 4


def test_less_work_takes_replicas_only_after_a_while_and_only_as_many_as_were_never_needed_in_it() -> None:
    scaling = Scaling()
    assert scaling.wanted(SETTINGS, 1, 32, 0.0) == 4
    assert scaling.wanted(SETTINGS, 4, 16, 30.0) == 4
    assert scaling.wanted(SETTINGS, 4, 0, 59.0) == 4

    assert scaling.wanted(SETTINGS, 4, 0, 61.0) == 2
    assert scaling.wanted(SETTINGS, 2, 0, 91.0) == 1


def test_an_idle_backend_ends_if_that_is_allowed_and_stays_so_until_it_is_woken() -> None:
    scaling = Scaling()
    assert scaling.wanted(TO_ZERO, 1, 1, 0.0) == 1
    assert scaling.wanted(TO_ZERO, 1, 0, 61.0) == 0
    assert scaling.wanted(TO_ZERO, 0, 0, 62.0) == 0
    scaling.wake(100.0)

    assert scaling.wanted(TO_ZERO, 1, 0, 159.0) == 1
    assert scaling.wanted(TO_ZERO, 1, 0, 161.0) == 0


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 200)), max_size=40))
def test_the_number_stays_within_its_range_and_never_falls_while_the_work_needs_it(
    steps: list[tuple[float, int]],
) -> None:
    scaling, count, now = Scaling(), 1, 0.0
    for pause, in_flight in steps:
        now += pause
        before, count = count, scaling.wanted(SETTINGS, count, in_flight, now)
        assert 1 <= count <= 4
        assert count >= min(in_flight / 8, 4)
        assert count >= before or in_flight <= 8 * count
