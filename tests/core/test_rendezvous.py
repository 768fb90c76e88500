from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from actors.core.balancing.rendezvous import rendezvous

NAMES = st.lists(st.text(max_size=8), min_size=1, max_size=8, unique=True)
KEYS = st.lists(st.binary(max_size=20), min_size=1, max_size=30)


def chosen(key: bytes, names: list[str]) -> str:
    return rendezvous(key, names, str)


@given(names=NAMES, keys=KEYS)
def test_a_member_of_the_subset_is_chosen(names, keys):
    assert all(chosen(key, names) in names for key in keys)


@given(names=NAMES, keys=KEYS, seed=st.integers(0, 2**32))
def test_everybody_chooses_alike_in_whatever_order_they_know_the_members(names, keys, seed):
    shuffled = Random(seed).sample(names, len(names))

    assert [chosen(key, names) for key in keys] == [chosen(key, shuffled) for key in keys]


@given(names=NAMES.filter(lambda names: len(names) > 1), keys=KEYS)
def test_losing_a_member_moves_only_its_own_keys(names, keys):
    lost, *rest = names

    moved = [key for key in keys if chosen(key, names) != chosen(key, rest)]

    assert all(chosen(key, names) == lost for key in moved)


def test_keys_are_spread_evenly():
    names = ["git:0", "git:1", "git:2", "git:3"]

    spread = Counter(chosen(b"session %d" % number, names) for number in range(4000))

    assert all(850 < spread[name] < 1150 for name in names)


def test_the_keys_of_a_lost_member_are_spread_over_all_others():
    names = ["git:0", "git:1", "git:2", "git:3"]
    keys = [key for number in range(4000) if chosen(key := b"session %d" % number, names) == "git:0"]

    spread = Counter(chosen(key, names[1:]) for key in keys)

    assert all(count > len(keys) / 4 for count in spread.values())
    assert len(spread) == 3
