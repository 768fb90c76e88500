import json

import pytest
from mcp_types.methods import validate_server_result

from actors.core.revisions import HANDSHAKE_REVISIONS, Era
from actors.core.tool_entry import tool_for

TOOL = {
    "name": "add",
    "title": "Add",
    "icons": [{"src": "https://x/i.png"}],
    "annotations": {"readOnlyHint": True},
    "inputSchema": {"type": "object", "properties": {"a": {"type": "number"}}, "additionalProperties": False},
    "_meta": {"own": 1},
    "own": True,
}
OBJECT = {"type": "object", "properties": {"sum": {"type": "number"}}}


def told(revision: str, tool: object, told_in: Era = Era.MODERN) -> dict:
    return json.loads(tool_for(revision, json.dumps(tool).encode(), told_in))


@pytest.mark.parametrize("told_in", list(Era))
@pytest.mark.parametrize("revision", [*HANDSHAKE_REVISIONS, "2026-07-28"])
def test_an_ordinary_tool_passes_byte_for_byte(revision, told_in):
    body = json.dumps({**TOOL, "outputSchema": OBJECT}, indent=1).encode()

    assert tool_for(revision, body, told_in) is body


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {}},
        {"type": ["object", "null"]},
        {"anyOf": [OBJECT, {"type": "null"}]},
        {"$ref": "#/$defs/x", "$defs": {"x": OBJECT}},
        {},
        True,
        None,
    ],
)
@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_a_handshake_client_gets_no_output_schema_that_it_must_refuse(revision, schema):
    seen = told(revision, {**TOOL, "outputSchema": schema})

    assert seen == TOOL
    validate_server_result("tools/list", revision, {"tools": [seen]})


def test_a_modern_client_gets_every_output_schema():
    tool = {**TOOL, "outputSchema": {"type": "array"}}

    assert told("2026-07-28", tool) == tool


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
def test_a_property_that_is_anything_or_nothing_is_said_with_objects(revision):
    schema = {"type": "object", "properties": {"a": True, "b": False, "c": {"default": True}}, "own": True}

    seen = told(revision, {**TOOL, "inputSchema": schema, "outputSchema": schema})

    expected = {**schema, "properties": {"a": {}, "b": {"not": {}}, "c": {"default": True}}}
    assert seen == {**TOOL, "inputSchema": expected, "outputSchema": expected}
    assert told("2026-07-28", {**TOOL, "inputSchema": schema})["inputSchema"] == schema


@pytest.mark.parametrize(
    ("execution", "expected"),
    [({"taskSupport": "required"}, {}), ({"taskSupport": "optional", "own": 1}, {"execution": {"own": 1}})],
)
def test_a_modern_client_is_not_promised_tasks_of_a_handshake_server(execution, expected):
    tool = {**TOOL, "execution": execution}

    assert told("2026-07-28", tool, Era.HANDSHAKE) == {**TOOL, **expected}
    assert told("2026-07-28", tool, Era.MODERN) == tool
    assert told("2025-11-25", tool, Era.HANDSHAKE) == tool


def test_a_key_written_with_escapes_is_the_same_key():
    body = rb'{"name":"x","\u0065xecution":{"task\u0053upport":"required"}}'

    assert json.loads(tool_for("2026-07-28", body, Era.HANDSHAKE)) == {"name": "x"}
