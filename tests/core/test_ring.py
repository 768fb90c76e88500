from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.balancing.ring import VIRTUAL_NODES, Ring

NAMES = st.lists(st.text(max_size=8), min_size=2, max_size=8, unique=True)
WEIGHTS = st.dictionaries(st.text(max_size=8), st.floats(0.01, 1000), min_size=2, max_size=6)
KEYS = st.lists(st.binary(max_size=20), min_size=1, max_size=30)
MANY = [b"session %d" % number for number in range(4000)]

PINNED = ["git:1", "git:1", "git:0", "git:2", "git:2", "git:2"]


def even(names):
    return dict.fromkeys(names, 1.0)


@given(weights=WEIGHTS, keys=KEYS, data=st.data())
def test_an_owner_is_always_among_those_that_count(weights, keys, data):
    ring = Ring(weights)
    among = data.draw(st.sets(st.sampled_from(sorted(weights)), min_size=1))

    assert all(ring.owner(key, among) in among for key in keys)


@given(weights=WEIGHTS, keys=KEYS, seed=st.integers(0, 2**32))
def test_everybody_comes_to_the_same_owner_in_whatever_order_they_know_the_members(weights, keys, seed):
    shuffled = {name: weights[name] for name in Random(seed).sample(sorted(weights), len(weights))}

    assert [Ring(weights).owner(key, weights) for key in keys] == [Ring(shuffled).owner(key, weights) for key in keys]


def test_the_owner_of_a_key_is_the_same_in_every_version_of_this_program():
    ring = Ring(even(["git:0", "git:1", "git:2"]))

    assert [ring.owner(b"session %d" % number, {"git:0", "git:1", "git:2"}) for number in range(6)] == PINNED


@given(weights=WEIGHTS, keys=KEYS)
def test_passing_over_a_member_moves_only_its_own_keys_and_back_to_it(weights, keys):
    ring = Ring(weights)
    lost, *rest = sorted(weights)

    before = [ring.owner(key, weights) for key in keys]
    without = [ring.owner(key, rest) for key in keys]
    after = [ring.owner(key, weights) for key in keys]

    assert all(owner == lost for owner, other in zip(before, without, strict=True) if owner != other)
    assert before == after


@given(names=NAMES, keys=KEYS)
def test_removing_a_member_for_good_moves_only_its_own_keys(names, keys):
    lost, *rest = names
    before, after = Ring(even(names)), Ring(even(rest))

    moved = [key for key in keys if before.owner(key, names) != after.owner(key, rest)]

    assert all(before.owner(key, names) == lost for key in moved)


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_adding_a_member_moves_about_its_share_of_the_keys_and_all_of_them_to_it(count):
    names = [f"git:{index}" for index in range(count + 1)]
    before, after = Ring(even(names[:-1])), Ring(even(names))

    moved = [key for key in MANY if before.owner(key, names) != after.owner(key, names)]

    assert all(after.owner(key, names) == names[-1] for key in moved)
    assert len(moved) < 1.35 * len(MANY) / (count + 1)


@pytest.mark.parametrize("backend", ["git", "time", "a-server_2"])
def test_keys_are_spread_evenly(backend):
    names = [f"{backend}:{index}" for index in range(4)]
    ring = Ring(even(names))

    owned = Counter(ring.owner(key, names) for key in MANY)

    assert all(700 < owned[name] < 1300 for name in names)


def test_keys_are_spread_by_weight():
    weights = {"git:0": 10.0, "git:1": 20.0, "git:2": 50.0}
    ring = Ring(weights)

    owned = Counter(ring.owner(key, weights) for key in MANY)

    assert all(0.65 < owned[name] / (weight / 80 * len(MANY)) < 1.35 for name, weight in weights.items())


def test_the_keys_of_a_lost_member_are_spread_over_all_others():
    names = [f"git:{index}" for index in range(5)]
    ring = Ring(even(names))

    heirs = Counter(ring.owner(key, names[1:]) for key in MANY if ring.owner(key, names) == "git:0")

    assert all(heirs[name] > heirs.total() / 10 for name in names[1:])


@given(weights=WEIGHTS)
def test_no_member_is_without_a_place_and_none_has_more_than_its_points(weights):
    places = Counter(Ring(weights)._names)

    assert set(places) == set(weights)
    assert max(places.values()) == VIRTUAL_NODES


def test_nobody_among_the_members_is_an_error():
    with pytest.raises(LookupError):
        Ring({"git:0": 1.0}).owner(b"key", {"git:7"})
