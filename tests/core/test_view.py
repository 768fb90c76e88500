import pickle

import pytest

from actors.core.catalogue import aggregate
from actors.core.listing import Item, Listing
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.settings import Naming
from actors.core.view import BackendView, View

LISTING = Listing(tools=(Item("status", b'{"name":"status"}'),))


def status(index: int, state: ReplicaState, detail: str = "") -> Status:
    return Status(ReplicaKey("git", index), "epoch", 1, "node", "unix:/x", None, state, detail)


def test_a_backend_is_up_as_soon_as_one_replica_is():
    replicas = (status(0, ReplicaState.DOWN, "it crashed"), status(1, ReplicaState.UP))

    assert BackendView("git", 1.0, replicas=replicas).up
    assert not BackendView("git", 1.0, replicas=replicas[:1]).up
    assert not BackendView("git", 1.0).up


@pytest.mark.parametrize(
    ("replicas", "detail"),
    [
        ((), "starting"),
        ((status(0, ReplicaState.STARTING),), "starting"),
        ((status(0, ReplicaState.STARTING), status(1, ReplicaState.DOWN, "it crashed")), "it crashed"),
    ],
)
def test_why_a_backend_is_not_up_is_what_its_replicas_say(replicas, detail):
    assert BackendView("git", 1.0, replicas=replicas).detail == detail


def test_a_backend_keeps_its_entries_while_it_is_away():
    away = BackendView("git", 1.0, replicas=(status(0, ReplicaState.DOWN),), listing=LISTING)

    assert list(away.catalogue.tools) == ["status"]


def test_a_view_is_the_same_after_a_journey():
    git = BackendView("git", 1.0, replicas=(status(0, ReplicaState.UP),), listing=LISTING)
    view = View("generation", 3, {"git": git}, aggregate({"git": LISTING}, Naming.QUALIFIED))

    assert pickle.loads(pickle.dumps(view)) == view  # noqa: S301


def test_replicas_are_named_after_their_backend():
    assert str(ReplicaKey("git", 2)) == "git:2"
    assert sorted([ReplicaKey("b", 0), ReplicaKey("a", 2)]) == [ReplicaKey("a", 2), ReplicaKey("b", 0)]
