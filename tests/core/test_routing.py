import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.catalogue import aggregate
from actors.core.listing import Item, Listing
from actors.core.naming import Owned
from actors.core.revisions import Era
from actors.core.routing import ROUTED, Rejection, Route, route, route_unchanged
from actors.core.settings import Naming


def entry(key: str, value: str) -> tuple[Item, ...]:
    return (Item(value, json.dumps({key: value}).encode()),)


def listing(own: str) -> Listing:
    return Listing(
        tools=entry("name", "run"),
        resources=entry("uri", f"{own}:page"),
        templates=entry("uriTemplate", f"{own}:" + "{page}"),
        prompts=entry("name", "ask"),
    )


CATALOGUE = aggregate({"git": listing("git"), "web": listing("web")}, Naming.QUALIFIED)
TEXT = st.text(max_size=8)
EXTRAS = st.dictionaries(TEXT.filter(lambda key: key not in ("name", "uri", "ref", "type")), TEXT | st.integers())


def members(value: dict[str, object]) -> jsonrpc.Object:
    return {key: jsonrpc.raw(each) for key, each in value.items()}


def plain(params: jsonrpc.Object) -> dict[str, object]:
    return json.loads(jsonrpc.encode(params))


def sent(method: str, value: dict[str, object], era: Era = Era.MODERN) -> Route | Rejection:
    return route(method, members(value), CATALOGUE, era)


@given(extras=EXTRAS, era=st.sampled_from(Era))
def test_tools_and_prompts_are_called_by_the_names_of_their_servers_and_nothing_else_changes(extras, era):
    for method, name, upstream in (("tools/call", "web__run", "run"), ("prompts/get", "git__ask", "ask")):
        found = sent(method, {**extras, "name": name}, era)

        assert isinstance(found, Route)
        assert found.owned == Owned(name[:3], upstream)
        assert plain(found.params) == {**extras, "name": upstream}


@given(extras=EXTRAS)
@pytest.mark.parametrize(("uri", "backend"), [("git:page", "git"), ("web:unlisted", "web")])
def test_resources_are_read_under_their_own_uri(extras, uri, backend):
    found = sent("resources/read", {**extras, "uri": uri})

    assert isinstance(found, Route)
    assert found.owned == Owned(backend, uri)
    assert plain(found.params) == {**extras, "uri": uri}


def test_a_qualified_uri_is_read_under_the_one_its_server_knows():
    found = sent("resources/read", {"uri": "only1mcp://git/web:page"})

    assert isinstance(found, Route)
    assert found.owned == Owned("git", "web:page")
    assert plain(found.params) == {"uri": "web:page"}


@given(extras=EXTRAS, argument=EXTRAS)
@pytest.mark.parametrize(
    ("ref", "owned", "upstream"),
    [
        ({"type": "ref/prompt", "name": "web__ask"}, Owned("web", "ask"), {"type": "ref/prompt", "name": "ask"}),
        ({"type": "ref/resource", "uri": "git:{page}"}, Owned("git", "git:{page}"), None),
        ({"type": "ref/resource", "uri": "git:page"}, Owned("git", "git:page"), None),
    ],
)
def test_completions_go_to_whom_they_refer_to(ref, owned, upstream, extras, argument):
    found = sent("completion/complete", {**argument, "ref": {**extras, **ref}})

    assert isinstance(found, Route)
    assert found.owned == owned
    assert plain(found.params) == {**argument, "ref": {**extras, **(upstream or ref)}}


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("tools/call", {"name": "run"}, "Unknown tool: run"),
        ("tools/call", {"name": "web__ask"}, "Unknown tool: web__ask"),
        ("tools/call", {"name": "x" * 200}, "Unknown tool: " + "x" * 128),
        ("prompts/get", {"name": "web__run"}, "Unknown prompt: web__run"),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "no"}}, "Unknown ref/prompt: no"),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "no"}}, "Unknown ref/resource: no"),
    ],
)
@pytest.mark.parametrize("era", list(Era))
def test_what_is_not_in_the_catalogue_is_unknown(method, params, message, era):
    assert sent(method, params, era) == Rejection(-32602, message)


@pytest.mark.parametrize(("era", "code"), [(Era.MODERN, -32602), (Era.HANDSHAKE, -32002)])
@pytest.mark.parametrize("uri", ["nobody:page", "only1mcp://nobody/x"])
def test_a_resource_of_nobody_is_not_found_in_the_words_of_each_era(era, code, uri):
    assert sent("resources/read", {"uri": uri}, era) == Rejection(code, f"Resource not found: {uri}", {"uri": uri})


WRONG = [None, 1, [], {}, [["deep"]], True]


@pytest.mark.parametrize(
    ("method", "key"), [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri")]
)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_name_that_is_no_string_is_refused_on_either_endpoint(method, key, wrong):
    for params in (members({key: wrong}), {}):
        for found in (route(method, params, CATALOGUE, Era.MODERN), route_unchanged(method, params, "git")):
            assert isinstance(found, Rejection)
            assert found.code == -32602


@pytest.mark.parametrize(
    "ref", [*WRONG, {"type": "ref/tool", "name": "x"}, {"type": "ref/prompt"}, {"type": "ref/resource", "uri": 1}]
)
def test_a_reference_of_another_form_is_refused(ref):
    found = sent("completion/complete", {"ref": ref})

    assert isinstance(found, Rejection)
    assert found.code == -32602


def test_a_reference_nested_without_end_is_refused_and_nothing_worse():
    params = {"ref": jsonrpc.raw_bytes(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")}

    found = route("completion/complete", params, CATALOGUE, Era.MODERN)

    assert isinstance(found, Rejection)


@given(params=EXTRAS, name=TEXT)
@pytest.mark.parametrize("method", sorted(ROUTED))
def test_to_one_server_everything_goes_as_it_came(method, params, name):
    params = members({**params, "name": name, "uri": name})

    found = route_unchanged(method, params, "git")

    assert isinstance(found, Route)
    assert found.params is params
    assert found.owned == Owned("git", "" if method == "completion/complete" else name)


def test_a_rejection_is_an_error_object():
    assert json.loads(Rejection(-32602, "no").error) == {"code": -32602, "message": "no"}
    assert json.loads(Rejection(-32602, "no", {"uri": "x"}).error)["data"] == {"uri": "x"}
