"""How many calls of a principal run at the same time, in one ingress replica and in several."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.limit_settings import QuotaSettings
from actors.core.limits.admission import Reason
from actors.core.limits.hold_book import HoldBook
from actors.core.limits.hold_count import Hold, HoldCount
from actors.core.limits.lease import LEASE_SECONDS
from actors.core.limits.quotas import Quota, Quotas
from tests.support.limits import caller


def entered(count: HoldCount, times: int, most: int = 4, now: float = 0.0, key: str = "a") -> int:
    return sum(count.enter(key, most, now) is None for _ in range(times))


def exchange(book: HoldBook, source: str, count: HoldCount, now: float) -> None:
    count.renew(book.grant(source, count.report(now), now), now)


def test_the_quota_of_a_principal_is_the_least_that_is_about_it() -> None:
    quotas = Quotas(
        (
            QuotaSettings(calls=10, sessions=3),
            QuotaSettings(calls=2, roles=("robot",)),
            QuotaSettings(sessions=1, principals=("svc-*",)),
        )
    )

    assert quotas.of(caller("ada").principal) == Quota(10, 3)
    assert quotas.of(caller("ada", roles=("robot",)).principal) == Quota(2, 3)
    assert quotas.of(caller("svc-1").principal) == Quota(10, 1)
    assert Quotas(()).of(caller().principal) == Quota()


def test_as_many_calls_run_as_may_and_each_that_ends_makes_room() -> None:
    count = HoldCount()

    assert entered(count, 6) == 4
    count.leave("a")
    assert entered(count, 2) == 1
    assert entered(count, 1, key="b") == 1


def test_a_refusal_names_the_quota_and_when_to_try_again() -> None:
    count = HoldCount()
    entered(count, 4)

    refused = count.enter("a", 4, 0.0)

    assert refused is not None
    assert (refused.reason, refused.retry_after) == (Reason.CALLS, 1.0)


def test_nothing_is_kept_of_principals_that_have_no_calls() -> None:
    count = HoldCount()
    entered(count, 2)
    count.leave("a")
    count.leave("a")

    assert len(count) == 0


def test_several_replicas_begin_with_equal_parts_and_go_by_demand() -> None:
    book, counts = HoldBook(), [HoldCount(2), HoldCount(2)]
    assert entered(counts[0], 10, most=10) == 5

    for step in range(1, 4):
        exchange(book, "0", counts[0], step * 0.5)
    assert entered(counts[0], 10, most=10) == 5
    assert entered(counts[1], 10, most=10) == 5  # it has not heard yet, and may have its part

    for _ in range(10):
        counts[0].leave("a")
    for step in range(4, 30):
        entered(counts[0], 1, most=10)
        entered(counts[1], 9, most=10)
        exchange(book, "0", counts[0], step * 0.5)
        exchange(book, "1", counts[1], step * 0.5)
        for count in counts:
            while count._counts["a"].running:
                count.leave("a")
    assert counts[1]._counts["a"].share in (8, 9)


@given(
    wanted=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    most=st.integers(1, 40),
)
def test_parts_are_whole_and_together_the_quota_but_for_one_call_for_each(wanted: list[int], most: int) -> None:
    book = HoldBook()
    holds = {str(index): Hold("a", most, 0, min(each, most)) for index, each in enumerate(wanted)}

    for _ in range(2):
        parts = [book.grant(source, [hold], 0.0)[0].most for source, hold in holds.items()]

    assert most <= sum(parts) <= most + len(wanted)
    assert min(parts) >= 1


@given(running=st.integers(0, 12), wanted=st.integers(1, 12))
def test_what_runs_elsewhere_is_not_granted_again(running: int, wanted: int) -> None:
    book = HoldBook()
    book.grant("there", [Hold("a", 10, running, min(running + 1, 10))], 0.0)

    (granted,) = book.grant("here", [Hold("a", 10, 0, wanted)], 0.1)

    assert granted.most <= max(0, 10 - running)


def test_what_a_replica_held_that_vanished_is_free_again() -> None:
    book = HoldBook()
    book.grant("gone", [Hold("a", 10, 10, 10)], 0.0)

    (before,) = book.grant("here", [Hold("a", 10, 0, 10)], LEASE_SECONDS - 0.1)
    (after,) = book.grant("here", [Hold("a", 10, 0, 10)], LEASE_SECONDS + 0.1)

    assert (before.most, after.most) == (0, 10)


@pytest.mark.parametrize("away", [True, False])
def test_a_part_that_nobody_uses_is_forgotten_unless_the_router_is_away(away: bool) -> None:
    book, count = HoldBook(), HoldCount(2)
    entered(count, 1)
    exchange(book, "0", count, 0.5)
    count.leave("a")
    exchange(book, "0", count, 1.0)
    if away:
        count.go_on(1.5)

    count.report(1.0 + LEASE_SECONDS + 0.1)

    assert len(count) == (1 if away else 0)


def test_the_principals_in_the_book_are_bounded() -> None:
    book = HoldBook(max_keys=2)
    for key in ("a", "b", "c"):
        book.grant("r", [Hold(key, 4, 1, 1)], 0.0)

    assert len(book) == 2
