"""A new link key is for those who accept at once, and for those who dial when all who accept have it."""

import pytest

from actors.core.link_keys import LinkKey, LinkKeys
from actors.core.membership import ReplicaKey
from actors.link_key_desk import SPREAD_SECONDS, LinkKeyDesk

ONE, TWO = ReplicaKey("git", 0), ReplicaKey("web", 0)


def ring(*numbers: int) -> LinkKeys:
    return LinkKeys(tuple(LinkKey(number, b"s" * 32, "", "", "") for number in numbers))


@pytest.fixture
def desk() -> LinkKeyDesk:
    """One that was told a first key."""
    made = LinkKeyDesk()
    made.tell(ring(1), 0.0)
    return made


def test_nothing_is_published_before_anything_was_told() -> None:
    desk = LinkKeyDesk()

    assert desk.published is None
    assert not desk.look([], 1000.0)


def test_a_first_key_is_published_at_once() -> None:
    desk = LinkKeyDesk()

    assert desk.tell(ring(1), 0.0)

    assert desk.published == ring(1)


def test_a_new_key_is_published_when_every_replica_has_it_and_not_before(desk: LinkKeyDesk) -> None:
    desk.tell(ring(2, 1), 10.0)
    desk.hear(ONE, 2)
    desk.hear(TWO, 1)
    early = desk.look([ONE, TWO], 11.0), desk.published
    desk.hear(TWO, 2)

    assert early == (False, ring(1))
    assert desk.keys == ring(2, 1)
    assert desk.look([ONE, TWO], 11.0)
    assert desk.published == ring(2, 1)
    assert not desk.look([ONE, TWO], 12.0), "it is no news any more"


def test_a_replica_that_does_not_fetch_it_holds_it_up_for_a_while_only(desk: LinkKeyDesk) -> None:
    desk.tell(ring(2, 1), 10.0)
    desk.hear(ONE, 2)

    assert not desk.look([ONE, TWO], 10.0 + SPREAD_SECONDS - 0.1)
    assert desk.look([ONE, TWO], 10.0 + SPREAD_SECONDS)


def test_a_replica_that_has_ended_holds_up_nothing_and_is_taken_for_new_when_it_comes_again(desk: LinkKeyDesk) -> None:
    desk.tell(ring(2, 1), 10.0)
    desk.hear(ONE, 2)
    desk.forget(ONE)

    assert not desk.look([ONE], 11.0)
    assert desk.look([], 11.0)


def test_what_is_not_newer_changes_nothing(desk: LinkKeyDesk) -> None:
    desk.tell(ring(3, 2, 1), 10.0)

    assert not desk.tell(ring(2, 1), 11.0)
    assert not desk.tell(ring(3, 2, 1), 11.0)
    assert desk.keys == ring(3, 2, 1)


def test_a_router_that_starts_again_publishes_what_the_one_before_has_published_for_sure() -> None:
    desk = LinkKeyDesk()

    assert desk.tell(ring(3, 2, 1), 0.0)

    assert desk.published == ring(2, 1)
