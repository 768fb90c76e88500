"""What a tool says of itself."""

import json

import pytest

from actors.core.permission_settings import ANNOTATIONS
from actors.core.policy.annotations import DEFAULTS, annotations_of, hint


def test_the_hints_of_a_tool_are_read() -> None:
    tool = {"name": "x", "annotations": {"title": "X", "readOnlyHint": True, "openWorldHint": False}}

    assert annotations_of(json.dumps(tool).encode()) == {"readOnlyHint": True, "openWorldHint": False}


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "x"},
        {"annotations": None},
        {"annotations": []},
        {"annotations": {"readOnlyHint": "true", "destructiveHint": 0}},
    ],
)
def test_what_is_no_hint_was_not_given(tool: object) -> None:
    assert annotations_of(json.dumps(tool).encode()) == {}


def test_what_is_no_tool_says_nothing() -> None:
    assert annotations_of(b'["annotations"') == {}
    assert annotations_of(b'{"annotations":' + b"[" * 100_000) == {}


def test_every_hint_has_the_default_of_the_protocol() -> None:
    assert (
        {name: hint({}, name) for name in ANNOTATIONS}
        == DEFAULTS
        == {
            "readOnlyHint": False,
            "destructiveHint": True,
            "idempotentHint": False,
            "openWorldHint": True,
        }
    )


def test_a_tool_that_only_reads_destroys_nothing_and_may_be_repeated_unless_it_says_otherwise() -> None:
    reads = {"readOnlyHint": True}

    assert not hint(reads, "destructiveHint")
    assert hint(reads, "idempotentHint")
    assert hint({**reads, "destructiveHint": True}, "destructiveHint")
