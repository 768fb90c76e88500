from hypothesis import given
from hypothesis import strategies as st

from actors.core.recent_ends import KEEP_SECONDS, RecentEnds


def test_an_end_is_remembered_for_a_while() -> None:
    ends = RecentEnds()
    ends.add(b"a", 0.0)

    ends.forget_old(KEEP_SECONDS - 0.1)
    kept = list(ends)
    ends.forget_old(KEEP_SECONDS)

    assert kept == [b"a"]
    assert b"a" not in ends


def test_an_end_that_is_told_again_is_remembered_from_then() -> None:
    ends = RecentEnds()
    ends.add(b"a", 0.0)
    ends.add(b"b", 1.0)
    ends.add(b"a", 2.0)

    ends.forget_old(KEEP_SECONDS + 1.0)

    assert list(ends) == [b"a"]


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 5))
def test_of_too_many_ends_the_latest_are_remembered(nonces: list[int], most: int) -> None:
    ends = RecentEnds(most)

    for now, nonce in enumerate(nonces):
        ends.add(bytes([nonce]), float(now))

    latest = list(dict.fromkeys(bytes([nonce]) for nonce in reversed(nonces)))[:most]
    assert list(ends) == latest[::-1]
    assert len(ends) == len(latest)
