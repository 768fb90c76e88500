from hypothesis import given
from hypothesis import strategies as st

from actors.core.expiring import Expiring


def test_an_entry_is_returned_until_its_time_is_over() -> None:
    entries: Expiring[str, int] = Expiring(3)

    entries.put("a", 1, until=10.0)

    assert entries.get("a", 9.9) == 1
    assert entries.get("a", 10.0) is None
    assert len(entries) == 0


def test_a_later_value_replaces_an_earlier_one() -> None:
    entries: Expiring[str, int] = Expiring(3)

    entries.put("a", 1, until=10.0)
    entries.put("a", 2, until=5.0)

    assert entries.get("a", 4.0) == 2
    assert entries.get("a", 6.0) is None


def test_the_entry_not_read_for_longest_makes_room() -> None:
    entries: Expiring[str, int] = Expiring(2)
    entries.put("a", 1, until=10.0)
    entries.put("b", 2, until=10.0)
    entries.get("a", 0.0)

    entries.put("c", 3, until=10.0)

    assert [entries.get(key, 0.0) for key in "abc"] == [1, None, 3]


@given(puts=st.lists(st.tuples(st.integers(0, 20), st.floats(0, 100))), max_entries=st.integers(1, 5))
def test_it_never_holds_more_than_its_bound_nor_returns_what_has_expired(
    puts: list[tuple[int, float]], max_entries: int
) -> None:
    entries: Expiring[int, float] = Expiring(max_entries)

    for key, until in puts:
        entries.put(key, until, until=until)
        assert len(entries) <= max_entries

    found = [entries.get(key, 50.0) for key in range(21)]
    assert all(until is None or until > 50.0 for until in found)
