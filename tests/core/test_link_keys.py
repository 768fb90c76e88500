"""The ring of link keys: which one is dialled with, which are accepted, and when the next is due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.link_keys import DIALLED, MAX_KEYS, LinkKey, LinkKeys, link_name


def key(number: int, made_at: float = 0.0) -> LinkKey:
    return LinkKey(number, b"secret" * 4, "authority", "certificate", "private", made_at)


@given(numbers=st.lists(st.integers(1, 1000), unique=True).map(sorted))
def test_a_ring_has_the_newest_keys_only_and_dials_with_the_newest_of_these(numbers: list[int]) -> None:
    ring = LinkKeys()
    for number in numbers:
        ring = ring.with_next(key(number))

    newest = sorted(numbers, reverse=True)
    assert [each.number for each in ring.keys] == newest[:MAX_KEYS]
    assert [each.number for each in ring.dialled] == newest[:DIALLED]
    assert ring.number == max(numbers, default=0)
    assert [number for number in numbers if ring.has(number)] == sorted(newest[:MAX_KEYS])
    assert ring.before.keys == ring.keys[1:]


@pytest.mark.parametrize("number", [0, 4, 5])
def test_a_number_is_not_used_twice(number: int) -> None:
    with pytest.raises(ValueError, match="not newer than 5"):
        LinkKeys((key(5),)).with_next(key(number))


@pytest.mark.parametrize(
    ("made_at", "seconds", "due"), [(100.0, 60.0, False), (90.0, 60.0, True), (0.0, 0.0, False), (0.0, 150.0, True)]
)
def test_the_next_key_is_due_when_the_newest_has_lasted_as_long_as_it_shall(
    made_at: float, seconds: float, *, due: bool
) -> None:
    ring = LinkKeys((key(2, made_at), key(1, 0.0)))

    assert ring.is_due(150.0, seconds) is due


def test_the_first_key_is_due_at_once() -> None:
    assert LinkKeys().is_due(0.0, 0.0)


def test_nothing_but_the_number_and_the_age_of_a_key_is_shown() -> None:
    assert repr(LinkKeys((key(7, 1.5),))) == "LinkKeys(keys=(LinkKey(number=7, made_at=1.5),))"


def test_each_key_has_a_name_of_its_own_that_no_name_system_gives_out() -> None:
    assert key(7).name == link_name(7) == "link-7.only1mcp.internal"
