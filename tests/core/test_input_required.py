"""A question of a modern server is read exactly, and the retry holds what was answered and nothing older."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.input_required import read_required, result_type, retry

ELICIT = {"method": "elicitation/create", "params": {"message": "who?", "x": 1}}
ROOTS = {"method": "roots/list"}


def body(**members: Any) -> bytes:
    return json.dumps({"resultType": "input_required", **members}).encode()


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (b"{}", "complete"),
        (b'{"content":[{"resultType":"task"}]}', "complete"),
        (b'{"resultType":"complete"}', "complete"),
        (b'{"resultType":"com.example/odd"}', "com.example/odd"),
    ],
)
def test_the_type_of_a_result_is_what_it_says_or_complete(result: bytes, expected: str):
    assert result_type(result) == expected


@pytest.mark.parametrize("result", [b'{"resultType":null}', b'{"resultType":7}'])
def test_a_type_that_is_no_text_is_none(result: bytes):
    with pytest.raises(msgspec.DecodeError):
        result_type(result)


def test_questions_keep_their_names_and_their_order():
    required = read_required(body(inputRequests={"b/2": ELICIT, "a": ROOTS}))

    assert [(name, ask.method, json.loads(ask.body)) for name, ask in required.asks.items()] == [
        ("b/2", "elicitation/create", ELICIT["params"]),
        ("a", "roots/list", {}),
    ]
    assert required.state is None


def test_the_state_is_kept_byte_for_byte():
    assert read_required(b'{ "requestState" :  "\\u00e9\\/x" }').state == b'"\\u00e9\\/x"'


@pytest.mark.parametrize(
    "broken",
    [
        body(),
        body(inputRequests={}),
        body(inputRequests=[]),
        body(inputRequests={"a": {"method": "tools/call"}}),
        body(inputRequests={"a": {"params": {}}}),
        body(inputRequests={"a": {"method": "roots/list", "params": []}}),
        body(requestState=7),
        body(requestState={"a": 1}, inputRequests={"a": ROOTS}),
    ],
)
def test_what_asks_for_nothing_that_can_be_asked_is_refused(broken: bytes):
    with pytest.raises(msgspec.DecodeError):
        read_required(broken)


names = st.dictionaries(st.text(), st.dictionaries(st.text(), st.integers() | st.text(), max_size=2), max_size=3)


@given(params=names, old=st.booleans(), responses=names, state=st.none() | st.text())
def test_a_retry_is_the_request_with_these_answers_and_this_state(
    params: dict[str, Any], old: bool, responses: dict[str, Any], state: str | None
):
    given_params = {**params, **({"inputResponses": {"old": {}}, "requestState": "old"} if old else {})}
    raw_state = None if state is None else json.dumps(state).encode()

    again = json.loads(
        retry(
            json.dumps(given_params).encode(),
            {name: json.dumps(response).encode() for name, response in responses.items()},
            raw_state,
        )
    )

    expected = {key: value for key, value in params.items() if key not in ("inputResponses", "requestState")}
    if responses:
        expected["inputResponses"] = responses
    if state is not None:
        expected["requestState"] = state
    assert again == expected


def test_a_retry_repeats_the_state_byte_for_byte():
    assert b'"requestState":"\\u00e9\\/x"' in retry(b'{"name":"echo"}', {}, b'"\\u00e9\\/x"')
