import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.care import Care, care_of


def tool(annotations: Any) -> bytes:
    return json.dumps({"name": "t", "annotations": annotations}).encode()


@pytest.mark.parametrize(
    ("annotations", "care"),
    [
        ({"readOnlyHint": True}, Care.READS),
        ({"readOnlyHint": True, "idempotentHint": False}, Care.READS),
        ({"idempotentHint": True}, Care.REPEATABLE),
        ({"readOnlyHint": False, "idempotentHint": True}, Care.REPEATABLE),
        ({"readOnlyHint": False, "idempotentHint": False}, Care.ONCE),
        ({"title": "x"}, Care.ONCE),
        ({"readOnlyHint": "true", "idempotentHint": 1}, Care.ONCE),
        ([], Care.ONCE),
        (None, Care.ONCE),
        ("readOnlyHint", Care.ONCE),
    ],
)
def test_a_tool_is_repeatable_only_if_it_says_so(annotations: Any, care: Care):
    assert care_of(tool(annotations)) is care


def test_a_tool_without_annotations_may_do_harm():
    assert care_of(b'{"name":"t"}') is Care.ONCE


@pytest.mark.parametrize("body", [b'"annotations"', b'{"annotations":', b'{"annotations":{"x":' + b"[" * 5000, b""])
def test_a_tool_that_cannot_be_read_may_do_harm(body: bytes):
    assert care_of(body) is Care.ONCE


@given(st.binary(max_size=60))
def test_no_text_within_a_description_makes_a_tool_repeatable(text: bytes):
    body = {"name": "t", "description": '"annotations":{"readOnlyHint":true}' + text.decode("latin-1")}

    assert care_of(json.dumps(body).encode()) is Care.ONCE
