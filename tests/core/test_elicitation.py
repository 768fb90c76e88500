import json

import pytest
from mcp_types.methods import parse_server_request

from actors.core.elicitation import elicitation_for
from actors.core.impossible import Impossible

COLOURS = [{"const": "#f00", "title": "Red"}, {"const": "#0f0"}]
CHOICE = {"type": "string", "title": "Colour", "oneOf": COLOURS, "default": "#f00"}
URL = {"mode": "url", "message": "Sign in", "url": "https://x/y"}


def form(**fields: object) -> dict:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": fields}
    return {"mode": "form", "message": "Which?", "requestedSchema": {**schema, "required": ["name"]}, "own": 1}


def told(revision: str, params: object) -> dict | Impossible:
    seen = elicitation_for(revision, json.dumps(params).encode(), "new-id")
    return seen if isinstance(seen, Impossible) else json.loads(seen)


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25", "2026-07-28"])
@pytest.mark.parametrize(
    "field",
    [
        {"type": "string", "format": "email", "default": "a@b"},
        {"type": "integer", "minimum": 1},
        {"type": "boolean", "default": True},
        {"type": "string", "enum": ["a", "b"]},
        {"type": "string", "enum": ["a", "b"], "enumNames": ["A", "B"]},
    ],
)
def test_what_every_revision_knows_passes_byte_for_byte(revision, field):
    body = json.dumps(form(name=field), indent=1).encode()

    assert elicitation_for(revision, body, "new-id") is body


def test_a_choice_with_titles_becomes_names_of_an_enum():
    seen = told("2025-06-18", form(name={"type": "string"}, colour=CHOICE))

    choice = {"type": "string", "title": "Colour", "default": "#f00", "enum": ["#f00", "#0f0"]}
    assert seen == form(name={"type": "string"}, colour={**choice, "enumNames": ["Red", "#0f0"]})
    parse_server_request("elicitation/create", "2025-06-18", seen)


@pytest.mark.parametrize("options", [[], [{"type": "string"}], [{"const": 1, "title": "One"}, {"const": "2"}]])
def test_alternatives_that_are_no_choice_of_strings_are_left_alone(options):
    params = form(name={"type": "string", "oneOf": options})

    assert told("2025-06-18", params) == params


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_newer_clients_get_every_choice_byte_for_byte(revision):
    body = json.dumps(form(one=CHOICE, many={"type": "array", "items": {"anyOf": COLOURS}})).encode()

    assert elicitation_for(revision, body, "new-id") is body


@pytest.mark.parametrize("items", [{"type": "string", "enum": ["a"]}, {"anyOf": COLOURS}])
def test_a_choice_of_several_is_refused_by_the_name_of_its_field(items):
    refused = told("2025-06-18", form(one=CHOICE, several={"type": "array", "items": items}))

    assert refused == Impossible(
        "a choice of several, as in 'several', came with 2025-11-25, and the other side speaks 2025-06-18"
    )


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-03-26"])
@pytest.mark.parametrize("params", [form(), URL])
def test_there_is_no_elicitation_before_it_came(revision, params):
    assert told(revision, params) == Impossible(
        f"elicitation came with 2025-06-18, and the other side speaks {revision}"
    )


def test_there_is_no_url_before_it_came():
    assert told("2025-06-18", URL) == Impossible(
        "elicitation other than by form came with 2025-11-25, and the other side speaks 2025-06-18"
    )


def test_a_url_gets_the_id_that_one_revision_wants():
    seen = told("2025-11-25", URL)

    assert seen == {**URL, "elicitationId": "new-id"}
    parse_server_request("elicitation/create", "2025-11-25", seen)


def test_the_id_that_a_server_gave_is_kept_where_there_are_ids_and_dropped_where_there_are_none():
    identified = {**URL, "elicitationId": "its-own"}

    assert told("2025-11-25", identified) == identified
    assert told("2026-07-28", identified) == URL
    assert told("2026-07-28", URL) == URL


def test_a_mode_that_nobody_knows_passes_to_clients_that_know_modes():
    params = {"mode": "telepathy", "message": "m"}

    assert told("2025-11-25", params) == params
    assert isinstance(told("2025-06-18", params), Impossible)
