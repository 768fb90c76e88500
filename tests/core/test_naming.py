import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.core.naming import LIMIT, Owned, assign, qualify
from actors.core.settings import NAME_PATTERN, Naming

BACKENDS = st.from_regex(NAME_PATTERN, fullmatch=True) | st.sampled_from(["a", "b", "a-b", "a_b", "B" * 32])
WEIRD = ["", "x", "_x", "x_", "__", "b__x", "a.b", "a/b", "a b", "café", "工具", "x" * 64, "x" * 200, "a_b", "a\nb"]
OWN_NAMES = st.sampled_from(WEIRD) | st.text("ab_.-é ", max_size=70) | st.text(max_size=8)
OWNED = st.lists(st.builds(Owned, BACKENDS, OWN_NAMES), max_size=12)
NAMINGS = st.sampled_from(Naming)


def look_alike(owned: Owned, naming: Naming) -> Owned:
    """A tool beside another which is called what the gateway would call that one."""
    (name,) = assign([owned], naming)
    return Owned(owned.backend, name.removeprefix(f"{owned.backend}__"))


@given(owned=OWNED, naming=NAMINGS)
@example(owned=[Owned("a", "x y"), look_alike(Owned("a", "x y"), Naming.QUALIFIED)], naming=Naming.QUALIFIED)
@example(owned=[Owned("a", "x" * 99), look_alike(Owned("a", "x" * 99), Naming.QUALIFIED)], naming=Naming.QUALIFIED)
@example(owned=[Owned("a", "x y"), look_alike(Owned("a", "x y"), Naming.ON_COLLISION)], naming=Naming.ON_COLLISION)
@example(owned=[Owned("a", "x y"), look_alike(Owned("a", "x y"), Naming.NONE)], naming=Naming.NONE)
@example(owned=[Owned("b", "x"), Owned("c", "x"), Owned("a", "b__x")], naming=Naming.ON_COLLISION)
def test_nothing_is_ever_lost_but_later_tools_of_the_same_name_under_none(owned, naming):
    names = assign(owned, naming)

    kept = list(dict.fromkeys(owned))
    if naming is Naming.NONE:
        kept = [each for each in kept if each == next(first for first in kept if first.name == each.name)]
    assert list(names.values()) == kept


@pytest.mark.timeout(20)
def test_a_server_that_lists_every_name_the_gateway_would_turn_to_still_loses_none():
    long = Owned("a", "x" * 99)
    same = look_alike(long, Naming.QUALIFIED)
    second = list(assign([long, same], Naming.QUALIFIED))[1]
    taken = Owned("a", second.removeprefix("a__"))

    names = assign([long, taken, same], Naming.QUALIFIED)

    assert list(names.values()) == [long, taken, same]


@given(owned=OWNED, naming=NAMINGS)
def test_every_name_is_one_that_model_providers_accept(owned, naming):
    names = assign(owned, naming)

    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)


@given(owned=OWNED, other=OWNED)
def test_qualified_names_stay_when_other_backends_come_and_go(owned, other):
    ours = {each.backend for each in owned}
    others = [each for each in other if each.backend not in ours]

    alone = assign(owned, Naming.QUALIFIED)
    together = assign([*others, *owned], Naming.QUALIFIED)

    assert alone.items() <= together.items()


@given(owned=OWNED, order=st.randoms())
def test_qualified_names_do_not_depend_on_the_order_of_backends(owned, order):
    backends = sorted({each.backend for each in owned})
    order.shuffle(backends)

    shuffled = [each for backend in backends for each in owned if each.backend == backend]

    assert assign(shuffled, Naming.QUALIFIED) == assign(owned, Naming.QUALIFIED)


@given(owned=OWNED)
def test_a_qualified_name_says_which_backend_it_belongs_to(owned):
    names = assign(owned, Naming.QUALIFIED)

    assert all(name.partition("__")[0] == each.backend for name, each in names.items())


@given(owned=OWNED)
def test_on_collision_a_name_is_either_plain_or_qualified_and_never_looks_like_the_other(owned):
    names = assign(owned, Naming.ON_COLLISION)

    assert all(name.partition("__")[0] == each.backend for name, each in names.items() if "__" in name)


def test_on_collision_only_the_tools_that_collide_are_qualified():
    owned = [Owned("files", "read"), Owned("files", "search"), Owned("web", "search")]

    names = assign(owned, Naming.ON_COLLISION)

    assert list(names) == ["read", "files__search", "web__search"]


def test_a_server_cannot_take_the_qualified_name_of_another_ones_tool():
    owned = [Owned("evil", "git__push"), Owned("git", "push"), Owned("hub", "push")]

    names = assign(owned, Naming.ON_COLLISION)

    assert names["git__push"] == Owned("git", "push")


def test_under_none_the_first_backend_keeps_a_name():
    owned = [Owned("files", "search"), Owned("web", "search"), Owned("web", "open")]

    names = assign(owned, Naming.NONE)

    assert names == {"search": Owned("files", "search"), "open": Owned("web", "open")}


@pytest.mark.parametrize("name", ["café", "fs.read", "x" * 65, "a b"])
def test_a_name_that_does_not_fit_ends_in_a_hash_of_what_it_was(name):
    fitted = qualify(Owned("git", name))

    assert re.fullmatch(r"git__[A-Za-z0-9_-]+-[0-9a-f]{8}", fitted)
    assert fitted != qualify(Owned("git", name + "!"))
    assert len(fitted) <= LIMIT


def test_names_stay_the_same_from_release_to_release():
    assert qualify(Owned("git", "status")) == "git__status"
    assert qualify(Owned("git", "git.status")) == "git__git_status-b165000b"
