"""JSON that is nested too deeply is found out, and nothing else is taken for it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.envelope import Malformed, read_batch
from actors.core.nesting import MAX_DEPTH, is_too_deep

LEAVES = st.none() | st.booleans() | st.integers() | st.text('ab"\\[]{}', max_size=6)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("x]{\\", max_size=3), inner, max_size=4)
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(value=VALUES, limit=st.integers(0, 6))
def test_the_depth_is_that_of_the_value_whatever_its_strings_hold(value: Any, limit: int) -> None:
    body = json.dumps(value).encode()

    assert is_too_deep(body, limit) == (depth_of(value) > limit)


@pytest.mark.parametrize("bracket", [b"[]", b"{}"])
def test_a_message_may_be_as_deep_as_the_limit_and_no_deeper(bracket: bytes) -> None:
    inner = MAX_DEPTH - 1
    opening = b"[" if bracket == b"[]" else b'{"a":'
    closing = bracket[1:]
    body = b'{"a":%b0%b}' % (opening * inner, closing * inner)
    deeper = b'{"a":%b0%b}' % (opening * (inner + 1), closing * (inner + 1))

    assert read_batch(body) is None
    assert isinstance(read_batch(deeper), Malformed)


@pytest.mark.parametrize("piece", [b'"\\"', b'"', b"\\", b'"\\', b"[]", b"{}"])
def test_what_is_no_json_does_not_take_long(piece: bytes) -> None:
    is_too_deep(b"[" * (MAX_DEPTH + 1) + b'"' + piece * 300_000)
