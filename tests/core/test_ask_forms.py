import json

import pytest
from mcp_types.methods import validate_server_result

from actors.core.ask import ASKABLE
from actors.core.ask_forms import answer_for, ask_for

PARAMS = {
    "elicitation/create": {"message": "m", "requestedSchema": {"type": "object", "properties": {}}},
    "sampling/createMessage": {"messages": [], "maxTokens": 1},
    "roots/list": {},
}


def asked(revision: str, method: str, params: object) -> dict:
    return json.loads(ask_for(revision, method, json.dumps(params).encode(), "id"))


def test_every_ask_is_tried():
    assert PARAMS.keys() == ASKABLE


@pytest.mark.parametrize("method", PARAMS)
def test_a_modern_client_gets_an_ask_without_what_belongs_to_a_request(method):
    request = {**PARAMS[method], "task": {"ttl": 1}, "_meta": {"progressToken": 7}}

    seen = asked("2026-07-28", method, request)

    assert seen == PARAMS[method]
    question = {"method": method, "params": seen}
    result = {"resultType": "input_required", "inputRequests": {"one": question}}
    validate_server_result("tools/call", "2026-07-28", result)


@pytest.mark.parametrize("method", PARAMS)
def test_the_rest_of_its_meta_stays(method):
    request = {**PARAMS[method], "_meta": {"progressToken": 7, "own": 1}}

    assert asked("2026-07-28", method, request) == {**PARAMS[method], "_meta": {"own": 1}}


@pytest.mark.parametrize("method", PARAMS)
def test_a_handshake_client_gets_the_request_of_a_handshake_server_whole(method):
    body = json.dumps({**PARAMS[method], "task": {"ttl": 1}, "_meta": {"progressToken": 7}}).encode()

    assert ask_for("2025-11-25", method, body, "id") is body


@pytest.mark.parametrize("revision", ["2024-11-05", "2026-07-28"])
@pytest.mark.parametrize("method", ["elicitation/create", "roots/list"])
def test_answers_that_all_revisions_share_pass_byte_for_byte(revision, method):
    body = b'{"action":"accept","content":[1],"roots":[]}'

    assert answer_for(revision, method, body) is body
