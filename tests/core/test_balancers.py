"""What holds for every balancer, and what each is for."""

from collections import Counter
from itertools import pairwise
from random import Random as Dice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.balancing.balancer import balancer_for
from actors.core.balancing.candidate import Candidate
from actors.core.balancing.round_robin import RoundRobin
from actors.core.balancing.weighted_random import Random, WeightedRandom
from actors.core.traffic_settings import MAX_WEIGHT, Balancing

WEIGHTS = st.lists(st.floats(0.001, MAX_WEIGHT), min_size=1, max_size=8)


def subset_of(weights: list[float], loads: list[float] | None = None) -> list[Candidate[int]]:
    return [
        Candidate(index, loads[index] if loads else 0.0, weight, f"git:{index}") for index, weight in enumerate(weights)
    ]


@pytest.mark.parametrize("kind", Balancing)
@given(
    weights=WEIGHTS, throws=st.lists(st.floats(0, 1, exclude_max=True), min_size=40, max_size=40), seed=st.integers()
)
def test_every_balancer_stays_in_its_subset_whatever_the_dice_say(kind, weights, throws, seed):
    balancer = balancer_for(kind, iter(throws).__next__)
    shuffle = Dice(seed)
    everybody = subset_of(weights)

    for _ in range(20):
        subset = shuffle.sample(everybody, shuffle.randint(1, len(everybody)))

        assert balancer.choose(subset) in [candidate.value for candidate in subset]


@pytest.mark.parametrize("kind", Balancing)
def test_every_balancer_uses_all_of_its_subset_evenly_where_all_are_alike(kind):
    balancer = balancer_for(kind, Dice(1).random)

    chosen = Counter(balancer.choose(subset_of([1.0] * 4)) for _ in range(4000))

    assert all(850 < chosen[index] < 1150 for index in range(4))


@pytest.mark.parametrize("kind", [Balancing.LEAST, Balancing.WEIGHTED_RANDOM])
def test_calls_go_by_weight(kind):
    balancer = balancer_for(kind, Dice(2).random)

    chosen = Counter(balancer.choose(subset_of([1.0, 2.0, 5.0])) for _ in range(8000))

    assert all(abs(chosen[index] - 1000 * weight) < 150 for index, weight in enumerate([1, 2, 5]))


def test_a_random_choice_does_not_go_by_weight():
    balancer = Random(Dice(3).random)

    chosen = Counter(balancer.choose(subset_of([1.0, 1000.0])) for _ in range(4000))

    assert 1850 < chosen[0] < 2150


@given(weights=st.lists(st.integers(1, 20), min_size=1, max_size=6), rounds=st.integers(1, 3))
def test_round_robin_gives_each_exactly_its_weight_in_every_round(weights, rounds):
    balancer = RoundRobin()
    subset = subset_of([float(weight) for weight in weights])

    for _ in range(rounds):
        chosen = Counter(balancer.choose(subset) for _ in range(sum(weights)))

        assert chosen == Counter(dict(enumerate(weights)))


@given(weight=st.integers(1, 8))
def test_round_robin_makes_no_bursts(weight):
    balancer = RoundRobin()
    subset = subset_of([float(weight), float(weight)])

    chosen = [balancer.choose(subset) for _ in range(4 * weight)]

    assert all(one != other for one, other in pairwise(chosen))


def test_round_robin_makes_up_for_turns_that_somebody_missed():
    balancer = RoundRobin()
    subset = subset_of([1.0, 1.0, 1.0])

    without = Counter(balancer.choose(subset[:2]) for _ in range(30))
    chosen = Counter(balancer.choose(subset) for _ in range(300))

    assert without == {0: 15, 1: 15}
    assert all(99 <= chosen[index] <= 101 for index in range(3))


@given(weights=WEIGHTS, dice=st.floats(0, 1, exclude_max=True))
def test_a_weighted_choice_is_where_the_dice_fall(weights, dice):
    chosen = WeightedRandom(lambda: dice).choose(subset_of(weights))

    before, total = sum(weights[:chosen]), sum(weights)
    assert before <= dice * total * (1 + 1e-9)
    assert dice * total <= (before + weights[chosen]) * (1 + 1e-9)
