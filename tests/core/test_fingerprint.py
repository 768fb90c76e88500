"""Capabilities that mean the same have one fingerprint; those that allow other questions never do."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.ask import ASKABLE
from actors.core.capabilities import supports
from actors.core.fingerprint import fingerprint

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
names = st.sampled_from(["elicitation", "sampling", "roots", "experimental", "x-vendor"])
aspects = st.sampled_from(["form", "url", "tools", "context", "listChanged", "x"])
objects = st.dictionaries(
    aspects, st.dictionaries(st.text(max_size=3), json_values, max_size=1) | json_values, max_size=4
)
capabilities = st.dictionaries(names, objects | json_values, max_size=5)
questions = st.tuples(
    st.sampled_from(sorted(ASKABLE)),
    st.sampled_from(
        [
            b"{}",
            b'{"mode":"form"}',
            b'{"mode":"url"}',
            b'{"tools":[]}',
            b'{"tools":[{"name":"t"}]}',
            b'{"toolChoice":{}}',
        ]
    ),
)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, {}),
        ({"elicitation": {}}, {"elicitation": {"form": {}}}),
        ({"elicitation": {"url": {}}}, {"elicitation": {"url": {}}}),
        ({"elicitation": {"url": {}, "form": {}}}, {"elicitation": {"form": {}, "url": {}}}),
        ({"sampling": {"context": {}, "tools": {"x": 1}}}, {"sampling": {"tools": {}, "context": {}}}),
        ({"roots": {"listChanged": True}, "sampling": {}}, {"sampling": {}, "roots": {}}),
        ({"experimental": {"a": {}}, "tasks": {}, "roots": None}, {}),
    ],
)
def test_what_matters_stays_and_what_is_said_besides_does_not(declared: Any, expected: Any):
    assert json.loads(fingerprint(encoded(declared))) == expected


@given(capabilities, questions)
def test_a_server_may_ask_by_the_fingerprint_just_what_it_may_ask_the_client(
    declared: Any, question: tuple[str, bytes]
):
    whole = encoded(declared)

    assert supports(fingerprint(whole), *question) == supports(whole, *question)


@given(capabilities, st.randoms(use_true_random=False))
def test_neither_order_nor_noise_changes_it(declared: Any, random: Any):
    members = [*declared.items(), ("x-noise", {"a": [1]})]
    random.shuffle(members)

    assert fingerprint(encoded(dict(members))) == fingerprint(encoded(declared))


@given(capabilities)
def test_the_fingerprint_of_a_fingerprint_is_itself(declared: Any):
    once = fingerprint(encoded(declared))

    assert fingerprint(once) == once


@given(st.binary(max_size=30) | json_values.map(encoded))
def test_anything_at_all_has_one(declared: bytes):
    assert isinstance(json.loads(fingerprint(declared)), dict)
