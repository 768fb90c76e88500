"""Several ingress replicas share one limit without asking anybody for a single call."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.core.limit_settings import RateSettings, Window
from actors.core.limits.admission import Admitted
from actors.core.limits.lease import LEASE_SECONDS, Use
from actors.core.limits.share_book import FLOOR, ShareBook
from tests.support.limits import SharedLimits, caller

WINDOWS = [
    pytest.param({"burst": 5}, id="small-burst"),
    pytest.param({}, id="full-burst"),
    pytest.param({"window": Window.SLIDING}, id="sliding"),
]
DEMANDS = [
    pytest.param([100, 100], id="even"),
    pytest.param([190, 10], id="skewed"),
    pytest.param([200, 0], id="one-only"),
    pytest.param([200, 20, 5, 1], id="four"),
    pytest.param([0, 0, 120], id="one-of-three"),
]


def fifty(**more: object) -> RateSettings:
    """Fifty calls a second."""
    return RateSettings(name="x", calls=50, seconds=1.0, **more)  # type: ignore[arg-type]


def use(asked: int, spent: int, *, rate: RateSettings | None = None, key: str = "k") -> Use:
    return Use((key,), rate or fifty(), asked, spent, 0.5, 50.0, renewed=False)


# --- together ---


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("demands", DEMANDS)
def test_together_they_admit_the_limit_whoever_is_asked(demands: list[float], window: dict[str, object]) -> None:
    shared = SharedLimits((fifty(**window),), len(demands))
    shared.run(3.0, demands)

    admitted = sum(shared.run(20.0, demands))

    assert admitted == pytest.approx(20 * 50, rel=0.1)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("demands", DEMANDS)
def test_from_the_first_moment_on_they_admit_what_one_alone_would(
    demands: list[float], window: dict[str, object]
) -> None:
    alone = SharedLimits((fifty(**window),), 1)
    shared = SharedLimits((fifty(**window),), len(demands))

    assert sum(shared.run(10.0, demands)) == pytest.approx(sum(alone.run(10.0, [sum(demands)])), rel=0.1)


@pytest.mark.parametrize("window", WINDOWS)
def test_whoever_stays_below_the_limit_is_never_refused_for_long(window: dict[str, object]) -> None:
    shared = SharedLimits((fifty(**window),), 2)

    admitted = shared.run(20.0, [30, 10])

    assert sum(admitted) >= 20 * 40 * 0.97


@pytest.mark.parametrize("window", WINDOWS)
def test_when_demand_moves_the_share_moves_and_what_was_too_much_is_made_up_for(window: dict[str, object]) -> None:
    shared = SharedLimits((fifty(**window),), 2)
    shared.run(10.0, [100, 0])

    admitted = shared.run(10.0, [0, 100])

    assert sum(admitted[:6]) <= 6 * 50 * 1.1 + 50  # at worst a fresh burst for each move
    assert sum(admitted[6:]) == pytest.approx(4 * 50, rel=0.1)


@settings(max_examples=12, deadline=None)
@given(
    demands=st.lists(st.integers(0, 300), min_size=2, max_size=4).filter(lambda each: sum(each) >= 150),
    window=st.sampled_from([{"burst": 5}, {"burst": 50}, {"window": Window.SLIDING}]),
)
def test_whatever_the_demand_no_more_than_a_tenth_is_admitted_beyond_the_limit(
    demands: list[float], window: dict[str, object]
) -> None:
    shared = SharedLimits((fifty(**window),), len(demands))
    shared.run(4.0, demands)

    assert 0.9 * 500 <= sum(shared.run(10.0, demands)) <= 1.1 * 500


def test_a_limit_of_less_than_one_call_for_each_is_kept_in_the_long_run() -> None:
    rate = RateSettings(name="x", calls=1, seconds=10.0)
    shared = SharedLimits((rate,), 3)

    admitted = sum(shared.run(300.0, [2, 2, 2]))

    assert 30 * 0.9 <= admitted <= 30 * 1.1 + 3


def test_another_principal_has_a_share_of_its_own() -> None:
    shared = SharedLimits((fifty(burst=5),), 2)
    shared.run(5.0, [200, 200], caller("greedy"))

    assert sum(shared.run(5.0, [10, 10], caller("modest"))) >= 97


def test_one_replica_alone_is_exact() -> None:
    alone = SharedLimits((fifty(burst=5),), 1)

    assert sum(alone.run(10.0, [500])) in range(5 + 499, 5 + 501)


# --- without the Router ---


def test_while_the_router_is_away_the_last_shares_go_on() -> None:
    shared = SharedLimits((fifty(burst=5),), 2)
    shared.run(5.0, [150, 50])

    shared.book = None
    admitted = sum(shared.run(20.0, [150, 50]))

    assert admitted == pytest.approx(20 * 50, rel=0.1)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_router_that_starts_anew_hears_what_is_left_and_gives_no_second_burst(window: dict[str, object]) -> None:
    shared = SharedLimits((fifty(**window),), 2)
    shared.run(5.0, [150, 50])

    shared.book = ShareBook()
    admitted = shared.run(10.0, [150, 50])

    assert sum(admitted) == pytest.approx(10 * 50, rel=0.1)


def test_the_share_of_a_replica_that_vanished_goes_to_the_others() -> None:
    shared = SharedLimits((fifty(burst=5),), 2)
    shared.run(5.0, [100, 100])

    admitted = shared.run(10.0, [100, 0])

    assert sum(admitted[4:]) == pytest.approx(6 * 50, rel=0.1)


def test_a_share_that_was_not_used_for_long_is_not_used_beside_that_of_another() -> None:
    shared = SharedLimits((fifty(burst=5),), 2)
    shared.run(5.0, [100, 0])
    shared.run(LEASE_SECONDS + 5.0, [0, 100])
    shared.book = None  # so that nothing but the lapse of the share can stop the first

    admitted = sum(shared.run(1.0, [100, 0]))

    assert admitted <= 25 + 5


# --- the book ---


def test_shares_are_in_proportion_to_demand_above_a_floor() -> None:
    book = ShareBook()
    for now in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5):
        (few,) = book.share("few", [use(10, 5)], now)
        (many,) = book.share("many", [use(90, 45)], now)

    assert few.part == pytest.approx(FLOOR / 2 + (1 - FLOOR) * 0.1, rel=0.05)
    assert many.part == pytest.approx(FLOOR / 2 + (1 - FLOOR) * 0.9, rel=0.05)


def test_whoever_tells_for_the_first_time_gets_no_more_than_it_had() -> None:
    book = ShareBook()

    (first,) = book.share("a", [use(100, 10)], 0.0)
    (second,) = book.share("a", [use(100, 10)], 0.5)

    assert (first.part, second.part) == (0.5, 1.0)


def test_a_limit_that_was_changed_begins_anew() -> None:
    book = ShareBook()
    book.share("a", [use(100, 50)], 0.0)

    (share,) = book.share("a", [use(0, 0, rate=fifty(burst=7))], 0.1)

    assert share.room == 7.0


def test_the_allowances_in_the_book_are_bounded() -> None:
    book = ShareBook(max_entries=2)
    for key in ("a", "b", "a", "c"):
        book.share("r", [use(10, 10, key=key)], 0.0)

    (known,) = book.share("r", [use(0, 0, key="a")], 0.0)

    assert len(book) == 2
    assert known.room == 30.0


def test_a_report_that_was_not_answered_is_not_charged_twice() -> None:
    shared = SharedLimits((fifty(),), 2)
    asked = [isinstance(shared.ask(0), Admitted) for _ in range(30)]
    limiter = shared.limiters[0]

    lost = limiter.report(shared.now)
    limiter.go_on(shared.now)
    shared.ask(0)
    (told,) = limiter.report(shared.now)

    assert sum(asked) == 25
    assert (lost[0].asked, lost[0].spent, told.asked, told.spent) == (30, 25, 1, 0)
