import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.catalogue import Entry
from actors.core.cursor import page_of
from actors.core.listing import Kind

PLACES = st.lists(st.tuples(st.sampled_from(["git", "web"]), st.text(max_size=6)), unique=True, max_size=20)
SIZES = st.integers(1, 6)
KINDS = st.sampled_from(Kind)


def entries_of(places):
    entries = [Entry(f"{backend}__{name}", backend, name, b"{}") for backend, name in places]
    return {entry.identity: entry for entry in entries}


def pages_of(entries, kind, size):
    found, cursor = [], None
    while True:
        page = page_of(entries, kind, cursor, size)
        found.append(page.entries)
        cursor = page.next
        if cursor is None:
            return found


@given(places=PLACES, kind=KINDS, size=SIZES)
def test_the_pages_in_order_are_the_list_and_none_but_the_last_is_short(places, kind, size):
    entries = entries_of(places)

    pages = pages_of(entries, kind, size)

    assert [entry for page in pages for entry in page] == list(entries.values())
    assert {len(page) for page in pages[:-1]} <= {size}
    assert len(pages[-1]) > 0 or not entries


@given(places=PLACES.filter(lambda each: len(each) > 1), kind=KINDS, size=SIZES, data=st.data())
def test_a_cursor_leads_on_after_its_entry_whatever_came_or_went_elsewhere(places, kind, size, data):
    size = min(size, len(places) - 1)
    page = page_of(entries_of(places), kind, None, size)
    last = page.entries[-1]
    here = size - 1
    before = data.draw(st.lists(st.tuples(st.just("new"), st.text(max_size=3)), max_size=3))
    after = data.draw(st.permutations(places[here + 1 :]))

    now = entries_of([*before, places[here], *after])
    then = page_of(now, kind, page.next, len(now))

    assert [(entry.backend, entry.upstream) for entry in then.entries] == after
    assert last not in then.entries


@given(places=PLACES.filter(lambda each: len(each) > 1), kinds=st.permutations(list(Kind)))
def test_a_cursor_leads_nowhere_without_its_entry_or_in_another_list(places, kinds):
    entries = entries_of(places)
    cursor = page_of(entries, kinds[0], None, 1).next

    assert page_of(entries_of(places[1:]), kinds[0], cursor, 1) is None
    assert page_of(entries, kinds[1], cursor, 1) is None


@given(cursor=st.text(max_size=40) | st.from_regex(r"[A-Za-z0-9_-]{0,60}", fullmatch=True))
def test_whatever_text_is_taken_for_a_cursor_leads_nowhere(cursor):
    assert page_of(entries_of([("git", "a")]), Kind.TOOLS, cursor, 1) is None


@pytest.mark.parametrize("kind", list(Kind))
def test_a_list_of_nothing_is_one_empty_page(kind):
    assert page_of({}, kind, None, 1) == ([], None)
