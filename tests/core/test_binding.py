"""Where a session is bound, backend by backend: whoever merges what others know comes to the same."""

import random

from hypothesis import given
from hypothesis import strategies as st

from actors.core.binding import MAX_BINDINGS, Binding, Bindings, binding_at, merged_bindings, with_binding
from actors.core.membership import ReplicaKey

NAMES = ["git", "db", "files"]

bindings_of_one = st.builds(
    Binding, st.sampled_from(NAMES), st.integers(1, 3), st.integers(-1, 2), st.sampled_from(["", "e1", "e2"])
)
histories = st.lists(bindings_of_one, max_size=8)


def after(history: list[Binding], bindings: Bindings = ()) -> Bindings:
    for binding in history:
        bindings = with_binding(bindings, binding)
    return bindings


def many(count: int, start: int = 0) -> Bindings:
    return tuple(Binding(f"b{number:04}", 1, 0, "e") for number in range(start, start + count))


def test_a_session_is_bound_to_one_replica_of_each_backend() -> None:
    bindings = after([Binding("git", 1, 2, "e1"), Binding("db", 1, 0, "e1")])

    assert binding_at(bindings, "git") == Binding("git", 1, 2, "e1")
    assert binding_at(bindings, "db") == Binding("db", 1, 0, "e1")
    assert binding_at(bindings, "files") is None
    assert Binding("git", 1, 2, "e1").replica == ReplicaKey("git", 2)


def test_who_binds_first_has_bound_it() -> None:
    first = after([Binding("git", 1, 0, "e1")])

    assert with_binding(first, Binding("git", 1, 1, "e1")) is first


def test_after_a_loss_it_is_bound_anew() -> None:
    bound = Binding("git", 1, 0, "e1")

    lost = after([bound, bound.lost])
    again = after([Binding("git", 3, 1, "e1")], lost)

    assert binding_at(lost, "git") == bound.lost
    assert not bound.lost.is_bound
    assert binding_at(again, "git") == Binding("git", 3, 1, "e1")
    assert with_binding(again, bound.lost) is again


def test_a_session_has_so_many_bindings_and_no_more_but_those_it_has_can_change() -> None:
    full = after(list(many(MAX_BINDINGS)))

    assert len(full) == MAX_BINDINGS
    assert with_binding(full, Binding("another", 1, 0, "e")) is full
    assert binding_at(with_binding(full, Binding("b0007", 2)), "b0007") == Binding("b0007", 2)


@given(histories, histories)
def test_the_order_of_merging_does_not_matter(here: list[Binding], there: list[Binding]) -> None:
    one, other = after(here), after(there)

    assert merged_bindings(one, other) == merged_bindings(other, one)


@given(histories, histories, histories)
def test_nor_does_it_with_three(first: list[Binding], second: list[Binding], third: list[Binding]) -> None:
    one, two, three = after(first), after(second), after(third)

    assert merged_bindings(merged_bindings(one, two), three) == merged_bindings(one, merged_bindings(two, three))


@given(histories, histories)
def test_what_is_merged_once_more_changes_nothing(here: list[Binding], there: list[Binding]) -> None:
    one, other = after(here), after(there)

    agreed = merged_bindings(one, other)

    assert merged_bindings(agreed, one) == merged_bindings(agreed, other) == agreed


@given(histories, histories)
def test_a_newer_binding_is_never_undone(here: list[Binding], there: list[Binding]) -> None:
    one, other = after(here), after(there)

    for binding in merged_bindings(one, other):
        known = [each for side in (one, other) if (each := binding_at(side, binding.backend)) is not None]
        assert binding in known
        assert binding.number == max(each.number for each in known)


@given(st.integers(0, 2 * MAX_BINDINGS), st.integers(0, 2 * MAX_BINDINGS), st.integers(0, 5))
def test_the_merged_ones_are_bounded_and_everybody_keeps_the_same(one: int, other: int, seed: int) -> None:
    both = [many(min(one, MAX_BINDINGS)), many(min(other, MAX_BINDINGS), start=one // 2), many(20, start=seed * 100)]

    agreed = merged_bindings(merged_bindings(both[0], both[1]), both[2])
    random.Random(seed).shuffle(both)

    assert len(agreed) <= MAX_BINDINGS
    assert merged_bindings(merged_bindings(both[0], both[1]), both[2]) == agreed
