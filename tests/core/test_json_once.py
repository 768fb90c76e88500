import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.json_once import decode_object

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(members=st.dictionaries(st.text(), values))
def test_an_object_is_decoded_as_it_is(members: dict[str, Any]) -> None:
    assert decode_object(json.dumps(members).encode()) == members


@pytest.mark.parametrize(
    "document",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":[{"b":1,"b":2}]}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1}x',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b"[]",
        b"null",
        b"",
        b'{"a":' * 20_000,
    ],
)
def test_what_could_be_read_in_two_ways_or_not_at_all_is_not_decoded(document: bytes) -> None:
    assert decode_object(document) is None
