"""Subscribers hear of the resource they named and of what lies below it, in the server's own words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.resource_updates import (
    MAX_DEPTH,
    MAX_URI_BYTES,
    MAX_URIS,
    UnfitError,
    covering,
    read_update,
    read_uris,
    update_of,
)

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
segments = st.lists(st.text(alphabet="ab?#.", min_size=1, max_size=3), min_size=1, max_size=5)
json_values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_the_uris_come_in_order_and_each_once():
    assert read_uris(encoded({"resourceSubscriptions": ["b://", "a://", "b://"], "x": 1})) == ("b://", "a://")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({}, "no resource"),
        ({"resourceSubscriptions": []}, "no resource"),
        ({"resourceSubscriptions": "a://"}, "not a list"),
        ({"resourceSubscriptions": [1]}, "not a list"),
        ([], "not a list"),
        ({"resourceSubscriptions": [f"a://{number}" for number in range(MAX_URIS + 1)]}, "the limit is 256"),
        ({"resourceSubscriptions": ["a" * (MAX_URI_BYTES + 1)]}, "more than 8192 bytes"),
    ],
)
def test_what_names_no_resources_or_too_many_is_refused_with_the_reason(wanted: Any, reason: str):
    with pytest.raises(UnfitError, match=reason):
        read_uris(encoded(wanted))


def test_as_many_as_the_limit_are_taken():
    uris = [f"a://{number}" for number in range(MAX_URIS)]

    assert list(read_uris(encoded({"resourceSubscriptions": uris}))) == uris


def test_an_update_is_passed_on_as_it_is_but_for_the_subscription_of_our_hop():
    untouched = b'{ "uri": "a://b", "title": "t", "_meta": {"x/y": 1}}'

    assert read_update(untouched) == ("a://b", untouched)
    assert read_update(encoded({"uri": "a://b", "_meta": {SUBSCRIPTION: 7}})) == ("a://b", b'{"uri":"a://b"}')
    uri, data = read_update(encoded({"uri": "a://b", "_meta": {SUBSCRIPTION: 7, "x/y": 1}}))
    assert (uri, json.loads(data)) == ("a://b", {"uri": "a://b", "_meta": {"x/y": 1}})


@given(st.binary(max_size=20) | st.dictionaries(st.sampled_from(["uri", "_meta", "x"]), json_values).map(encoded))
def test_what_is_no_update_is_none_and_never_raises(params: bytes):
    read = read_update(params)

    assert read is None or isinstance(json.loads(params)["uri"], str)


@given(st.text(max_size=10))
def test_the_shortest_update_names_its_uri(uri: str):
    assert read_update(update_of(uri)) == (uri, update_of(uri))


@given(st.sampled_from(["file:///", "test://", ""]), segments)
def test_an_update_is_heard_by_its_own_subscribers_and_those_of_each_folder_above(scheme: str, path: list[str]):
    uri = scheme + "/".join(path)

    heard = set(covering(uri))

    above = {scheme + "/".join(path[:depth]) for depth in range(1, len(path))}
    assert heard == {uri} | above | {f"{folder}/" for folder in above}


def test_neither_a_neighbour_nor_the_scheme_is_above_a_resource():
    heard = set(covering("file:///srv/data2/x"))

    assert heard.isdisjoint({"file:///srv/data", "file://", "file:", "file:///"})


def test_a_path_without_end_is_followed_for_so_far_only():
    assert len(list(covering("a://b" + "/c" * 10_000))) <= 1 + 2 * MAX_DEPTH
