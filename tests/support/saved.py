"""Strategies for what is kept between two runs, and a process that keeps things until it is killed."""

import sys
from pathlib import Path

from hypothesis import strategies as st

from actors.core.listing import Facts, Item, Listing
from actors.core.revisions import Era
from actors.core.session_state import SessionState, opened
from actors.store import Store

items = st.builds(Item, st.text(max_size=8), st.binary(max_size=8))
listings = st.builds(Listing, *[st.lists(items, max_size=3).map(tuple)] * 4)
facts = st.builds(
    Facts,
    st.sampled_from(Era),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.binary(max_size=8),
    st.none() | st.text(max_size=8),
)
states = st.builds(
    SessionState,
    st.binary(min_size=16, max_size=16),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.none() | st.text(max_size=8),
    st.lists(st.text(max_size=8), max_size=3).map(tuple),
    st.integers(0, 2**31),
)


def write_for_ever(path: Path) -> None:
    """Keep one session after the other; print the number of each thousandth once it is written."""
    store = Store.open(path)
    number = 0
    while True:
        for _ in range(1000):
            number += 1
            store.save_sessions((opened(number.to_bytes(16, "big"), "alice", b"x" * 100),))
        if not store.flush(30.0):
            raise SystemExit("the disk does not take it")
        print(number, flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    write_for_ever(Path(sys.argv[1]))
