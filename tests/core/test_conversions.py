"""What every conversion between revisions promises, whatever it is given."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.ask import ASKABLE
from actors.core.ask_forms import answer_for, ask_for
from actors.core.call_result import call_result_for
from actors.core.impossible import Impossible
from actors.core.revisions import HANDSHAKE_REVISIONS, LATEST_MODERN, MODERN_REVISIONS, Era
from actors.core.tool_entry import tool_for
from actors.core.url_elicitation import url_requests, url_result

ALL_REVISIONS = (*HANDSHAKE_REVISIONS, *MODERN_REVISIONS)


def _result(method):
    return lambda revision, body: call_result_for(revision, method, body)


def _tool(told_in):
    return lambda revision, body: tool_for(revision, body, told_in)


def _ask(method):
    return lambda revision, body: ask_for(revision, method, body, "id")


def _answer(method):
    return lambda revision, body: answer_for(revision, method, body)


CONVERSIONS = {
    **{f"a result of {each}": _result(each) for each in ("tools/call", "prompts/get", "resources/read")},
    **{f"a tool of the {era} era": _tool(era) for era in Era},
    **{f"the ask {each}": _ask(each) for each in sorted(ASKABLE)},
    **{f"the answer to {each}": _answer(each) for each in sorted(ASKABLE)},
}

WORDS = st.sampled_from(
    ["text", "audio", "resource_link", "tool_use", "form", "url", "object", "array", "string", "a:b", "é", ""]
)
KEYS = st.one_of(
    st.sampled_from(["type", "text", "data", "mimeType", "uri", "name", "title", "content", "structuredContent"]),
    st.sampled_from(["messages", "tools", "toolChoice", "inputSchema", "outputSchema", "properties", "execution"]),
    st.sampled_from(["taskSupport", "requestedSchema", "oneOf", "const", "mode", "enum", "elicitationId", "task"]),
    st.sampled_from(["_meta", "progressToken", "elicitations", "own"]),
)
SCALAR = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9) | WORDS
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)
BLOCKS = st.lists(
    st.fixed_dictionaries(
        {"type": WORDS}, optional={"text": SCALAR, "data": SCALAR, "uri": SCALAR, "name": SCALAR, "_meta": JSON}
    )
    | JSON,
    max_size=3,
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": WORDS, "content": BLOCKS | JSON}) | JSON, max_size=3)
FIELD = st.fixed_dictionaries(
    {"type": WORDS},
    optional={"oneOf": st.lists(st.fixed_dictionaries({"const": SCALAR}, optional={"title": SCALAR}), max_size=3)},
)
SCHEMA = st.fixed_dictionaries({"type": WORDS, "properties": st.dictionaries(WORDS, FIELD | JSON, max_size=3)})
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "content": BLOCKS | JSON,
        "structuredContent": JSON,
        "messages": MESSAGES,
        "inputSchema": SCHEMA | JSON,
        "outputSchema": SCHEMA | JSON,
        "requestedSchema": SCHEMA | JSON,
        "execution": JSON,
        "mode": WORDS,
        "_meta": JSON,
        "task": JSON,
        "own": JSON,
        "isError": JSON,
        "resultType": JSON,
    },
)
UNTOUCHED = ("own", "isError", "resultType")
FOR_CLIENTS_OF_THE_SAME_ERA = [each for each in CONVERSIONS if "ask" not in each and str(Era.HANDSHAKE) not in each]
LAYOUTS = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])
ANY_CONVERSION = st.sampled_from(sorted(CONVERSIONS))
REVISIONS = st.sampled_from(ALL_REVISIONS)
DEEP = b"[" * 100_000 + b"]" * 100_000
BROKEN = [
    b"",
    b"{",
    b"null",
    b"[]",
    DEEP,
    b'{"content":' + DEEP + b"}",
    b'{"content":[{"type":"audio","data":"\\ud800"}],"structuredContent":1e999}',
    b'{"content":[{"type":"audio","data":"\xff"}],"structuredContent":"\xff"}',
    b'{"structuredContent":' + DEEP + b"}",
    b'{"messages":[' + DEEP + b"]}",
    b'{"requestedSchema":{"properties":{"x":' + DEEP + b"}}}",
]


def unique(pairs):
    assert len({key for key, _ in pairs}) == len(pairs), "a member is there twice"
    return dict(pairs)


def test_revisions_are_compared_as_the_dates_they_are():
    assert list(ALL_REVISIONS) == sorted(ALL_REVISIONS)


@given(conversion=ANY_CONVERSION, revision=REVISIONS, message=LIKELY | JSON, layout=LAYOUTS)
def test_any_json_becomes_json_that_keeps_what_is_not_ours_or_is_refused_with_a_reason(
    conversion, revision, message, layout
):
    told = CONVERSIONS[conversion](revision, json.dumps(message, **layout).encode())

    if isinstance(told, Impossible):
        assert revision in told.reason
    elif isinstance(message, dict):
        seen = json.loads(told, object_pairs_hook=unique)
        assert {key: seen.get(key) for key in UNTOUCHED} == {key: message.get(key) for key in UNTOUCHED}
    else:
        assert json.loads(told) == message


@given(conversion=ANY_CONVERSION, revision=REVISIONS, message=LIKELY, layout=LAYOUTS)
def test_what_was_converted_once_is_not_converted_again(conversion, revision, message, layout):
    told = CONVERSIONS[conversion](revision, json.dumps(message, **layout).encode())

    if not isinstance(told, Impossible):
        assert CONVERSIONS[conversion](revision, told) is told


@given(conversion=st.sampled_from(FOR_CLIENTS_OF_THE_SAME_ERA), message=LIKELY | JSON, layout=LAYOUTS)
def test_for_the_newest_revision_a_message_of_its_own_era_passes_untouched(conversion, message, layout):
    body = json.dumps(message, **layout).encode()

    assert CONVERSIONS[conversion](LATEST_MODERN, body) is body


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("revision", ALL_REVISIONS)
@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_what_is_broken_never_raises(conversion, revision, body):
    told = CONVERSIONS[conversion](revision, body)

    assert isinstance(told, bytes | Impossible)


@given(
    message=LIKELY | JSON, data=LIKELY | st.fixed_dictionaries({"elicitations": st.lists(LIKELY | JSON, max_size=3)})
)
def test_an_error_gives_modern_asks_or_nothing(message, data):
    error = json.dumps({"code": -32042, "message": message, "data": data}).encode()

    requests = url_requests(error)

    for body in (requests or {}).values():
        question = json.loads(body)
        assert question["method"] == "elicitation/create"
        assert question["params"]["mode"] == "url"
        assert "elicitationId" not in question["params"]
    assert requests is None or json.loads(url_result(requests))["isError"]


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_error_asks_for_nothing(body):
    assert url_requests(body) is None
    assert url_requests(b'{"code":-32042,"message":"m","data":{"elicitations":[%b]}}' % body) is None
    assert url_result({"one": body}) is None
