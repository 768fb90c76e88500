import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import ReadResourceResult

from actors.core.identity import GATEWAY_INFO
from actors.core.jsonrpc import SERVER_INFO_KEY, raw_bytes
from actors.core.outcome import Reply
from actors.core.rendering import complete, error_for, result_for
from actors.core.revisions import HANDSHAKE_REVISIONS, MODERN_REVISIONS, Era, era_of
from actors.core.routing import ROUTED

TEXT = st.text(max_size=8)
SCALAR = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9) | TEXT
COME_AND_GO = ("resultType", "ttlMs", "cacheScope", "_meta")
"""The only members of a result which one era has and the other has not."""
KEYS = TEXT | st.sampled_from([*COME_AND_GO, SERVER_INFO_KEY, "content"])
JSON = st.recursive(
    SCALAR | st.sampled_from(["complete", "input_required"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)
RESULTS = st.dictionaries(KEYS, JSON, max_size=5)
LAYOUTS = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])
METHODS = st.sampled_from(sorted(ROUTED))
ERAS = st.sampled_from(Era)
REVISIONS = (*HANDSHAKE_REVISIONS, *MODERN_REVISIONS)
ANY_REVISION = st.sampled_from(REVISIONS)
MODERN, LEGACY = MODERN_REVISIONS[0], "2025-11-25"
DEEP = pytest.param(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="nested without end")
SERVER_INFO = {SERVER_INFO_KEY: {"name": "git", "version": "1"}}


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    assert len({key for key, _ in pairs}) == len(pairs), "a member is there twice"
    return dict(pairs)


def rendered(revision: str, method: str, result: object, told_in: Era) -> object:
    body = result_for(revision, method, Reply(json.dumps(result).encode(), told_in))
    return None if body is None else json.loads(body, object_pairs_hook=unique)


@given(result=RESULTS, layout=LAYOUTS, method=METHODS, revision=ANY_REVISION, told_in=ERAS)
def test_only_members_that_one_era_does_not_have_come_and_go(result, layout, method, revision, told_in):
    body = result_for(revision, method, Reply(json.dumps(result, **layout).encode(), told_in))

    if body is None:
        assert (era_of(revision), told_in) == (Era.HANDSHAKE, Era.MODERN)
        assert result["resultType"] != "complete"
        return
    kept = {key: value for key, value in json.loads(body).items() if key not in COME_AND_GO}
    assert kept == {key: value for key, value in result.items() if key not in COME_AND_GO}


@given(result=RESULTS, layout=LAYOUTS, method=METHODS, revision=ANY_REVISION)
def test_within_an_era_a_complete_result_passes_byte_for_byte(result, layout, method, revision):
    era = era_of(revision)
    if era is Era.MODERN:
        result.setdefault("resultType", "complete")
    body = json.dumps(result, **layout).encode()

    assert result_for(revision, method, Reply(body, era)) == body


@given(result=RESULTS, method=METHODS, told_in=ERAS)
def test_a_modern_client_always_gets_the_members_it_is_owed(result, method, told_in):
    seen = rendered(MODERN, method, result, told_in)

    if told_in is Era.HANDSHAKE or "resultType" not in result:
        assert seen["resultType"] == "complete"
        meta = result.get("_meta", {})
        assert seen["_meta"] == ({SERVER_INFO_KEY: GATEWAY_INFO} | meta if isinstance(meta, dict) else meta)
        hints = {"ttlMs": 0, "cacheScope": "private"} if method == "resources/read" else {}
        told = {key: result[key] for key in ("ttlMs", "cacheScope") if key in result}
        assert {key: seen[key] for key in ("ttlMs", "cacheScope") if key in seen} == hints | told


@given(result=RESULTS, method=METHODS)
def test_a_handshake_client_never_sees_what_is_modern_only(result, method):
    result.pop("resultType", None)
    result["_meta"] = {**SERVER_INFO, "own": 1}

    seen = rendered(LEGACY, method, result, Era.MODERN)

    assert not seen.keys() & {"resultType", "ttlMs", "cacheScope"}
    assert seen["_meta"] == {"own": 1}


def test_a_meta_that_only_said_whose_server_it_is_goes_with_it():
    result = {"resultType": "complete", "content": [], "_meta": SERVER_INFO}

    assert rendered(LEGACY, "tools/call", result, Era.MODERN) == {"content": []}


@pytest.mark.parametrize("meta", [None, 1, "io.modelcontextprotocol/serverInfo", [], {}, {"own": {}}])
def test_a_meta_without_that_is_left_alone(meta):
    result = {"content": [], "_meta": meta}

    assert rendered(LEGACY, "tools/call", result, Era.MODERN) == result


@pytest.mark.parametrize("kind", ["input_required", "task", 7, None])
def test_a_question_of_a_modern_server_has_no_form_for_a_handshake_client(kind):
    assert rendered(LEGACY, "tools/call", {"resultType": kind}, Era.MODERN) is None


def test_a_question_of_a_modern_server_reaches_a_modern_client_as_it_is():
    question = {"resultType": "input_required", "inputRequests": {}, "requestState": "x"}

    assert rendered(MODERN, "resources/read", question, Era.MODERN) == question


def test_a_handshake_server_cannot_pass_for_one_that_asks():
    seen = rendered(MODERN, "tools/call", {"resultType": "input_required", "content": []}, Era.HANDSHAKE)

    assert seen["resultType"] == "complete"


def test_a_key_written_with_escapes_is_the_same_key():
    body = result_for(MODERN, "tools/call", Reply(rb'{"result\u0054ype":"input_required"}', Era.HANDSHAKE))

    assert body.count(b"esult") == 1
    assert json.loads(body)["resultType"] == "complete"


@pytest.mark.parametrize(("revision", "told_in"), list(product(REVISIONS, Era)))
@pytest.mark.parametrize("body", [b"5", b"[]", b"null", b'"x"', DEEP])
def test_what_is_no_object_passes_as_it_is(revision, told_in, body):
    assert result_for(revision, "tools/call", Reply(body, told_in)) == body


@pytest.mark.parametrize("told_in", Era)
def test_an_older_client_hears_of_what_came_after_it_in_words(told_in):
    result = {"content": [{"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}]}

    assert rendered(LEGACY, "tools/call", result, told_in) == result
    assert rendered("2024-11-05", "tools/call", result, told_in) == {
        "content": [{"type": "text", "text": "[audio, audio/wav, 3 bytes]"}]
    }


def test_a_resource_of_a_handshake_server_is_valid_to_a_modern_client():
    result = {"contents": [{"uri": "file:///x", "text": "x"}]}

    seen = rendered(MODERN, "resources/read", result, Era.HANDSHAKE)

    assert ReadResourceResult.model_validate(seen).ttl_ms == 0


@given(members=RESULTS, info=st.dictionaries(TEXT, TEXT))
def test_a_result_of_our_own_has_its_members_and_what_it_owes(members, info):
    raw = {key: raw_bytes(json.dumps(value).encode()) for key, value in members.items()}

    seen = json.loads(complete(raw, json.dumps(info).encode()))

    owed = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "_meta": {SERVER_INFO_KEY: info}}
    assert seen == owed | members


ERRORS = st.fixed_dictionaries(
    {"code": st.integers(-(2**63), 2**63 - 1) | st.integers(-32800, -31900), "message": TEXT},
    optional={"data": JSON, "own": JSON},
)


@given(error=ERRORS, layout=LAYOUTS, method=METHODS, era=ERAS, told_in=ERAS)
def test_an_error_keeps_everything_but_its_code(error, layout, method, era, told_in):
    body = json.dumps(error, **layout).encode()

    code, seen = error_for(era, method, Reply(body, told_in, is_error=True))

    assert json.loads(seen) == {**error, "code": code}
    assert code != error["code"] or seen == body


@pytest.mark.parametrize(
    ("code", "told_in", "era", "method", "expected"),
    [
        (-32002, Era.HANDSHAKE, Era.MODERN, "resources/read", -32602),
        (-32002, Era.MODERN, Era.MODERN, "resources/read", -32602),
        (-32002, Era.HANDSHAKE, Era.HANDSHAKE, "resources/read", -32002),
        (-32602, Era.MODERN, Era.HANDSHAKE, "resources/read", -32002),
        (-32602, Era.MODERN, Era.HANDSHAKE, "tools/call", -32602),
        (-32602, Era.HANDSHAKE, Era.HANDSHAKE, "resources/read", -32602),
        (-32602, Era.HANDSHAKE, Era.MODERN, "resources/read", -32602),
        (-32021, Era.MODERN, Era.MODERN, "tools/call", -32021),
        (-32021, Era.MODERN, Era.HANDSHAKE, "tools/call", -32021),
        (-32020, Era.HANDSHAKE, Era.MODERN, "tools/call", -32603),
        (-32042, Era.HANDSHAKE, Era.MODERN, "tools/call", -32603),
        (-32099, Era.HANDSHAKE, Era.MODERN, "tools/call", -32603),
        (-32042, Era.HANDSHAKE, Era.HANDSHAKE, "tools/call", -32042),
        (-32019, Era.HANDSHAKE, Era.MODERN, "tools/call", -32019),
        (-32100, Era.HANDSHAKE, Era.MODERN, "tools/call", -32100),
        (-32601, Era.HANDSHAKE, Era.MODERN, "tools/call", -32601),
        (1234, Era.HANDSHAKE, Era.MODERN, "tools/call", 1234),
    ],
)
def test_codes_are_those_of_the_era_of_the_client(code, told_in, era, method, expected):
    body = json.dumps({"code": code, "message": "m"}).encode()

    assert error_for(era, method, Reply(body, told_in, is_error=True))[0] == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [({"requiredCapabilities": {"sampling": {}}}, -32021), ({}, -32603), ([], -32603), (7, -32603)],
)
def test_a_missing_capability_is_told_in_whatever_era_if_it_is_named(data, expected):
    body = json.dumps({"code": -32021, "message": "m", "data": data}).encode()

    assert error_for(Era.MODERN, "tools/call", Reply(body, Era.HANDSHAKE, is_error=True))[0] == expected


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"7", b'{"code":"x","message":"m"}', b'{"code":1}', b'{"code":1,"message":7}']
)
@pytest.mark.parametrize("era", list(Era))
def test_what_is_no_error_becomes_one(body, era):
    code, error = error_for(era, "tools/call", Reply(body, Era.HANDSHAKE, is_error=True))

    assert code == -32603
    assert json.loads(error) == {"code": -32603, "message": "the server's error is not a JSON-RPC error"}
