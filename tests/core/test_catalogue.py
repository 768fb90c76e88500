import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.catalogue import Catalogue, aggregate, transparent
from actors.core.listing import IDENTITY, Item, Kind, Listing
from actors.core.naming import Owned
from actors.core.settings import Naming


def item(kind: Kind, identity: str, /, **members: object) -> Item:
    return Item(identity, json.dumps({"x-first": 1, IDENTITY[kind]: identity, **members}).encode())


def tools(*names: str) -> Listing:
    return Listing(tools=tuple(item(Kind.TOOLS, name) for name in names))


def resources(*uris: str) -> Listing:
    return Listing(resources=tuple(item(Kind.RESOURCES, uri) for uri in uris))


def templates(*texts: str) -> Listing:
    return Listing(templates=tuple(item(Kind.TEMPLATES, text) for text in texts))


DEEP = pytest.param(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="nested without end")
IDENTITIES = st.sampled_from(["x", "y", "a b", "file:///x", "only1mcp://a/x"]) | st.text(max_size=5)
EXTRAS = st.dictionaries(
    st.text(max_size=5).filter(lambda key: key not in IDENTITY.values()),
    st.text(max_size=5) | st.integers(),
    max_size=2,
)


def items(kind: Kind) -> st.SearchStrategy[tuple[Item, ...]]:
    entries = st.lists(st.tuples(IDENTITIES, EXTRAS), max_size=3, unique_by=lambda each: each[0])
    return entries.map(lambda found: tuple(item(kind, identity, **extras) for identity, extras in found))


LISTINGS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.builds(Listing, *(items(kind) for kind in Kind)))


@given(listings=LISTINGS, naming=st.sampled_from([Naming.QUALIFIED, Naming.ON_COLLISION]))
def test_every_entry_of_every_server_is_there_once_in_the_order_of_backends(listings, naming):
    catalogue = aggregate(listings, naming)

    for kind in Kind:
        expected = [(name, each.identity) for name in sorted(listings) for each in listings[name].of(kind)]
        assert [(entry.backend, entry.upstream) for entry in catalogue.of(kind).values()] == expected


@given(listings=LISTINGS, naming=st.sampled_from(Naming))
def test_an_entry_keeps_all_its_members_but_for_the_name(listings, naming):
    catalogue = aggregate(listings, naming)

    for kind in Kind:
        for identity, entry in catalogue.of(kind).items():
            (origin,) = [each for each in listings[entry.backend].of(kind) if each.identity == entry.upstream]
            assert entry.identity == identity
            assert json.loads(entry.body) == {**json.loads(origin.body), IDENTITY[kind]: identity}
            assert list(json.loads(entry.body)) == list(json.loads(origin.body))


@given(listings=LISTINGS, naming=st.sampled_from(Naming))
def test_what_reaches_a_client_leads_back_to_the_server_it_came_from(listings, naming):
    catalogue = aggregate(listings, naming)

    for uri, entry in catalogue.resources.items():
        assert catalogue.owner_of(uri) == Owned(entry.backend, entry.upstream)
    for text, entry in catalogue.templates.items():
        assert catalogue.template(text) == Owned(entry.backend, entry.upstream)


@given(listings=LISTINGS, naming=st.sampled_from(Naming))
def test_a_catalogue_is_the_same_after_a_journey_even_if_it_was_used_before(listings, naming):
    catalogue = aggregate(listings, naming)
    catalogue.owner_of("nothing:here")

    arrived = pickle.loads(pickle.dumps(catalogue))  # noqa: S301

    assert arrived == catalogue
    assert list(arrived.tools) == list(catalogue.tools)
    assert [arrived.owner_of(uri) for uri in catalogue.resources] == [
        catalogue.owner_of(u) for u in catalogue.resources
    ]


@given(listing=st.builds(Listing, *(items(kind) for kind in Kind)))
def test_alone_a_server_keeps_every_byte_and_every_name(listing):
    catalogue = transparent("git", listing)

    for kind in Kind:
        assert [(entry.identity, entry.upstream, entry.body) for entry in catalogue.of(kind).values()] == [
            (each.identity, each.identity, each.body) for each in listing.of(kind)
        ]


@pytest.mark.parametrize("naming", list(Naming))
@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"[]", b"7", DEEP])
def test_a_broken_entry_takes_no_other_with_it(naming, body):
    broken = Listing(tools=(Item("bad", body), item(Kind.TOOLS, "good")))

    catalogue = aggregate({"a": broken, "b": tools("fine")}, naming)

    assert [entry.upstream for entry in catalogue.tools.values()] == ["good", "fine"]
    assert [entry.upstream for entry in transparent("a", broken).tools.values()] == ["good"]


def test_a_uri_that_two_servers_list_is_qualified_and_others_stay():
    catalogue = aggregate({"b": resources("file:///x", "b:1"), "a": resources("file:///x")}, Naming.QUALIFIED)

    assert list(catalogue.resources) == ["only1mcp://a/file:///x", "only1mcp://b/file:///x", "b:1"]
    assert catalogue.owner_of("only1mcp://b/file:///x") == Owned("b", "file:///x")
    assert catalogue.owner_of("file:///x") is None


def test_a_server_cannot_list_a_uri_that_looks_like_another_ones():
    catalogue = aggregate({"evil": resources("only1mcp://git/x"), "git": resources("x")}, Naming.QUALIFIED)

    assert catalogue.owner_of("only1mcp://git/x") == Owned("git", "x")
    assert catalogue.owner_of("only1mcp://evil/only1mcp://git/x") == Owned("evil", "only1mcp://git/x")


def test_a_template_that_two_servers_have_is_expanded_by_clients_to_uris_that_say_whose_they_are():
    catalogue = aggregate({"a": templates("file:///{+path}"), "b": templates("file:///{+path}")}, Naming.QUALIFIED)

    assert list(catalogue.templates) == ["only1mcp://a/file:///{+path}", "only1mcp://b/file:///{+path}"]
    assert catalogue.owner_of("only1mcp://b/file:///etc/hosts") == Owned("b", "file:///etc/hosts")


def test_an_unlisted_uri_belongs_to_the_server_with_a_template_for_it():
    catalogue = aggregate(
        {"db": templates("db://{table}", "db://{table}/{+rest}"), "git": templates("git:{x}")}, Naming.NONE
    )

    assert catalogue.owner_of("db://users") == Owned("db", "db://users")
    assert catalogue.owner_of("db://users/1") == Owned("db", "db://users/1")
    assert catalogue.owner_of("http://users") is None


def test_an_unlisted_uri_that_two_servers_have_templates_for_is_never_guessed():
    catalogue = aggregate({"a": templates("file:///{+path}"), "b": templates("{+any}")}, Naming.QUALIFIED)

    assert catalogue.owner_of("file:///secret") is None
    assert catalogue.owner_of("other:thing") == Owned("b", "other:thing")


@pytest.mark.parametrize("uri", ["only1mcp://nobody/x", "only1mcp://tools-only/x", "only1mcp://", "only1mcp:///x"])
def test_a_qualified_uri_of_nobody_is_nobodys(uri):
    catalogue = aggregate({"a": resources("x"), "tools-only": tools("t")}, Naming.QUALIFIED)

    assert catalogue.owner_of(uri) is None


def test_an_empty_catalogue_has_nothing():
    assert aggregate({}, Naming.QUALIFIED) == Catalogue()
    assert Catalogue().owner_of("x") is None
    assert Catalogue().template("x") is None
