"""Places of a quota: what the Router keeps of them, and an ingress replica."""

from actors.core.limits.admission import Reason
from actors.core.limits.lease import LEASE_SECONDS
from actors.core.limits.place_book import PlaceBook
from actors.core.limits.place_count import MAX_PLACES, PlaceCount, Places, Want


def given(book: PlaceBook, source: str, number: int, now: float = 0.0, most: int = 2) -> bool:
    return book.give(source, Want(number, "a", most), now)


def test_places_are_given_until_all_are_taken_wherever() -> None:
    book = PlaceBook()

    assert [given(book, "one", 1), given(book, "two", 1), given(book, "one", 2), given(book, "two", 2)] == [
        True,
        True,
        False,
        False,
    ]


def test_what_is_told_counts_and_what_was_given_since_is_added_to_it() -> None:
    book = PlaceBook()
    given(book, "one", 1)
    given(book, "one", 3)

    book.tell("one", Places(2, "a", 0), 0.0)  # said between the two questions: the first stream has ended

    assert [given(book, "two", 1), given(book, "two", 2)] == [True, False]


def test_what_was_told_before_something_newer_is_passed_over() -> None:
    book = PlaceBook()
    given(book, "one", 2)
    book.tell("one", Places(3, "a", 1), 0.0)

    book.tell("one", Places(1, "a", 0), 0.0)

    assert [given(book, "two", 1), given(book, "two", 2)] == [True, False]


def test_places_of_a_replica_that_tells_nothing_any_more_are_free_again() -> None:
    book = PlaceBook()
    book.tell("gone", Places(1, "a", 2), 0.0)

    assert not given(book, "two", 1, LEASE_SECONDS - 0.1)
    assert given(book, "two", 2, LEASE_SECONDS + 0.1)


def test_the_book_keeps_nothing_of_those_that_have_nothing_and_of_others_a_bounded_number() -> None:
    book = PlaceBook(max_keys=3)
    given(book, "one", 1)
    book.tell("one", Places(2, "a", 0), 0.0)
    assert len(book) == 0

    for key in "abcdef":
        book.tell("one", Places(3, key, 1), 0.0)

    assert len(book) == 3


def test_what_nobody_has_any_more_is_told_once_and_then_forgotten() -> None:
    count = PlaceCount(2)
    count.enter("a", 4, Reason.STREAMS, True)
    count.leave("a")

    assert [[places.taken for places in count.report()] for _ in range(2)] == [[0], []]
    assert len(count) == 0


def test_one_that_is_asked_for_counts_as_taken_and_a_refused_one_does_not() -> None:
    count = PlaceCount(2)
    count.want("a", 4)
    during = count.report()
    count.heard("a")
    refused = count.enter("a", 4, Reason.STREAMS, False)
    after = count.report()

    assert refused is not None
    assert (refused.reason, refused.retry_after) == (Reason.STREAMS, 5.0)
    assert ([each.taken for each in during], [each.taken for each in after]) == ([1], [0])


def test_who_wants_more_at_once_than_may_ever_be_is_not_asked_about_again() -> None:
    count = PlaceCount(2)

    assert [count.want("a", 2) is not None for _ in range(4)] == [True, True, False, False]


def test_everybody_is_reported_in_turn_however_many_have_something_open() -> None:
    count = PlaceCount(2)
    for number in range(MAX_PLACES + 5):
        count.enter(str(number), 9, Reason.STREAMS, True)

    told = [places.key for _ in range(2) for places in count.report()]

    assert set(told) == {str(number) for number in range(MAX_PLACES + 5)}
