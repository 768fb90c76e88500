from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from actors.core.balancing.candidate import Candidate
from actors.core.balancing.p2c import PowerOfTwoChoices

LOADS = st.lists(st.floats(0, 100), min_size=1, max_size=8)


def subset_of(loads: list[float]) -> list[Candidate[int]]:
    return [Candidate(index, load) for index, load in enumerate(loads)]


@given(loads=LOADS, dice=st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=2))
def test_a_member_of_the_subset_is_chosen_whatever_the_dice_say(loads, dice):
    balancer = PowerOfTwoChoices(iter(dice).__next__)

    assert balancer.choose(subset_of(loads)) in range(len(loads))


@given(loads=st.lists(st.floats(0, 100), min_size=2, max_size=8, unique=True), seed=st.integers(0, 2**32))
def test_the_most_loaded_of_several_is_never_chosen(loads, seed):
    balancer = PowerOfTwoChoices(Random(seed).random)

    chosen = balancer.choose(subset_of(loads))

    assert loads[chosen] < max(loads)


@given(loads=st.lists(st.floats(0, 100), min_size=2, max_size=2))
def test_of_two_the_less_loaded_is_always_chosen(loads):
    for seed in range(4):
        chosen = PowerOfTwoChoices(Random(seed).random).choose(subset_of(loads))

        assert loads[chosen] == min(loads)


def test_candidates_of_equal_load_are_chosen_equally_often():
    balancer = PowerOfTwoChoices(Random(1).random)

    chosen = Counter(balancer.choose(subset_of([1.0] * 4)) for _ in range(4000))

    assert all(850 < chosen[index] < 1150 for index in range(4))


def test_a_backend_that_is_busy_gets_less_the_busier_it_is():
    balancer = PowerOfTwoChoices(Random(2).random)

    chosen = Counter(balancer.choose(subset_of([0.0, 1.0, 2.0])) for _ in range(3000))

    assert chosen[0] > chosen[1] > chosen[2] == 0


@given(
    ones=st.tuples(st.integers(0, 100), st.integers(1, 1000)),
    others=st.tuples(st.integers(0, 100), st.integers(1, 1000)),
)
def test_of_two_the_one_that_is_less_loaded_for_its_weight_is_always_chosen(ones, others):
    subset = [Candidate(index, load, weight, str(index)) for index, (load, weight) in enumerate((ones, others))]
    shares = [load / weight for load, weight in (ones, others)]

    for seed in range(4):
        chosen = PowerOfTwoChoices(Random(seed).random).choose(subset)

        assert shares[chosen] == min(shares)
