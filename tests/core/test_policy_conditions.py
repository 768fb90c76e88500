"""Where, when and how proven: the conditions that do not depend on the action."""

from datetime import UTC, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.permission_settings import DAYS, ConditionSettings, MfaSettings, WindowSettings
from actors.core.policy.action import Circumstances
from actors.core.policy.conditions import Conditions
from actors.core.policy.networks import Networks
from actors.core.policy.window import Window
from actors.core.principal import Kind, Principal
from tests.support.policies import Deal
from tests.support.policy_oracle import open_at

NOW = 1_800_000_000.0
PARIS = "Europe/Paris"
CHANGES = (
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # Paris goes from 02:00 to 03:00
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # and from 03:00 back to 02:00
    datetime(2026, 3, 8, 7, tzinfo=UTC),  # New York
    datetime(2026, 11, 1, 6, tzinfo=UTC),
)


def unix(text: str, zone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def holds(mfa: MfaSettings, **said: object) -> bool:
    principal = Principal("alice", "https://id", Kind.TOKEN, **said)  # type: ignore[arg-type]
    return Conditions(ConditionSettings(mfa=mfa), deny=False).unmet(principal, Circumstances("", NOW)) is None


@pytest.mark.parametrize(
    ("networks", "address", "inside"),
    [
        (("10.0.0.0/8",), "10.255.0.1", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", True),
        (("::ffff:10.0.0.0/104",), "10.0.0.1", True),
        (("::ffff:10.0.0.0/104",), "::ffff:11.0.0.1", False),
        (("10.0.0.1",), "10.0.0.1", True),
        (("fd00::/8",), "fd12::1", True),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("::/0",), "10.0.0.1", False),
        (("0.0.0.0/0",), "::1", False),
        (("0.0.0.0/0", "::/0"), "::1", True),
        (("0.0.0.0/0",), "", None),
        (("0.0.0.0/0",), "unix:", None),
    ],
)
def test_an_address_is_in_a_network_however_it_is_written(networks, address: str, inside: bool | None) -> None:
    assert Networks(networks).holds(address) is inside


def test_an_address_nobody_knows_is_in_every_network_of_a_denial_and_in_none_that_allows() -> None:
    settings, principal = ConditionSettings(networks=("10.0.0.0/8",)), Principal("a", "", Kind.KEY)

    assert Conditions(settings, deny=False).unmet(principal, Circumstances("", NOW)) is not None
    assert Conditions(settings, deny=True).unmet(principal, Circumstances("", NOW)) is None
    assert Conditions(settings, deny=True).unmet(principal, Circumstances("8.8.8.8", NOW)) is not None


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    window = Window(WindowSettings(start="22:00", until="06:00", days=("sun",)))

    assert window.holds(unix("2026-11-22T22:00"))  # a Sunday
    assert window.holds(unix("2026-11-23T05:59:59"))
    assert not window.holds(unix("2026-11-23T06:00"))
    assert not window.holds(unix("2026-11-22T05:00"))
    assert not window.holds(unix("2026-11-23T22:00"))


def test_a_window_of_a_whole_day_has_no_gap() -> None:
    for start, until in (("00:00", "24:00"), ("09:00", "09:00"), ("24:00", "24:00")):
        window = Window(WindowSettings(start=start, until=until))
        assert all(window.holds(NOW + minute * 60) for minute in range(0, 7 * 24 * 60, 7))


def test_a_window_goes_by_the_clock_of_its_zone() -> None:
    window = Window(WindowSettings(start="09:00", until="17:00", zone=PARIS))

    assert window.holds(unix("2026-07-01T07:00"))
    assert not window.holds(unix("2026-07-01T06:59"))
    assert not window.holds(unix("2026-01-15T07:00"))
    assert window.holds(unix("2026-01-15T08:00"))


def test_an_hour_that_the_clock_shows_twice_counts_twice_and_one_it_leaves_out_not_at_all() -> None:
    window = Window(WindowSettings(start="02:00", until="03:00", zone=PARIS))
    autumn, spring = unix("2026-10-25T00:00"), unix("2026-03-29T00:00")

    def minutes(midnight: float) -> int:
        return sum(window.holds(midnight + minute * 60) for minute in range(180))

    assert window.holds(unix("2026-10-25T02:30", PARIS, fold=0))
    assert window.holds(unix("2026-10-25T02:30", PARIS, fold=1))
    assert (minutes(autumn), minutes(spring)) == (120, 0)


@given(st.integers(0, 2**32), st.sampled_from(CHANGES), st.integers(-2 * 86_400, 2 * 86_400))
def test_a_window_is_open_when_the_wall_clock_says_so_also_where_it_is_changed(
    seed: int, change: datetime, after: int
) -> None:
    settings, now = Deal(Random(seed)).window(), change.timestamp() + after

    assert Window(settings).holds(now) is open_at(settings, now)


def test_a_window_names_each_day_of_the_week_as_the_calendar_does() -> None:
    for position, day in enumerate(DAYS):
        window = Window(WindowSettings(days=(day,)))
        held = [window.holds(unix(f"2026-11-{23 + offset}T12:00")) for offset in range(7)]  # from a Monday on
        assert held.index(True) == position
        assert sum(held) == 1


def test_a_proof_has_one_of_the_methods_and_of_the_classes() -> None:
    demanded = MfaSettings(amr=("otp", "hwk"), acr=("gold", "silver"))

    assert holds(demanded, amr=("pwd", "hwk"), acr="silver")
    assert not holds(demanded, amr=("pwd",), acr="gold")
    assert not holds(demanded, amr=("otp",), acr="")
    assert not holds(demanded)


def test_a_login_is_recent_if_the_token_says_when_it_was_and_that_is_neither_long_ago_nor_to_come() -> None:
    demanded = MfaSettings(max_age=600.0)

    assert holds(demanded, auth_time=NOW - 600)
    assert holds(demanded, auth_time=NOW + 30), "clocks differ a little"
    assert not holds(demanded, auth_time=NOW - 601)
    assert not holds(demanded, auth_time=NOW * 1000), "milliseconds are no login that is recent for ever"
    assert not holds(demanded)
