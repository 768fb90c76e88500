import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.health import Health, check_pause
from actors.core.traffic_settings import HealthSettings

SETTINGS = HealthSettings(interval=10.0, healthy_after=2, unhealthy_after=3)


def thought_of(checks: str, settings: HealthSettings = SETTINGS) -> str:
    """What is thought of a server after each check: `+` is passed or healthy, `-` is not."""
    health = Health(settings)
    thoughts = ""
    for check in checks:
        health.record(passed=check == "+")
        thoughts += "+" if health.healthy else "-"
    return thoughts


@pytest.mark.parametrize(
    ("checks", "thoughts"),
    [
        ("", ""),
        ("+--+--+", "+++++++"),
        ("---", "++-"),
        ("---+-+-", "++-----"),
        ("---++", "++--+"),
        ("---++--", "++--+++"),
    ],
)
def test_only_several_in_a_row_change_what_is_thought_of_a_server(checks, thoughts):
    assert thought_of(checks) == thoughts


@given(
    checks=st.text("+-", max_size=40),
    settings=st.builds(HealthSettings, healthy_after=st.integers(1, 4), unhealthy_after=st.integers(1, 4)),
)
def test_it_changes_exactly_when_the_last_checks_all_say_so(checks, settings):
    health = Health(settings)
    for number, check in enumerate(checks, 1):
        before = health.healthy

        changed = health.record(passed=check == "+")

        needed, against = (settings.unhealthy_after, "-") if before else (settings.healthy_after, "+")
        assert changed == checks[:number].endswith(against * needed)
        assert health.healthy == (before is not changed)


@given(dice=st.floats(0, 1, exclude_max=True))
def test_the_pause_is_the_interval_give_or_take_a_tenth(dice):
    assert 9.0 <= check_pause(SETTINGS, dice) <= 11.0


def test_the_dice_spread_the_pauses_over_all_of_that():
    assert [check_pause(SETTINGS, dice) for dice in (0.0, 0.5)] == [9.0, 10.0]
