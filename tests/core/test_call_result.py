import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types.methods import validate_server_result

from actors.core.call_result import call_result_for
from actors.core.revisions import HANDSHAKE_REVISIONS

AUDIO = {"type": "audio", "data": base64.b64encode(b"12345").decode(), "mimeType": "audio/wav"}
LINK = {"type": "resource_link", "uri": "file:///r.pdf", "name": "r", "title": "Report", "mimeType": "application/pdf"}
PLAIN = [
    {"type": "text", "text": "audio and resource_link"},
    {"type": "image", "data": "", "mimeType": "image/png"},
    {"type": "resource", "resource": {"uri": "file:///x", "text": "x"}},
]
VALUE = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def told(revision: str, result: object, method: str = "tools/call") -> dict:
    return json.loads(call_result_for(revision, method, json.dumps(result).encode()))


def text(value: str) -> dict:
    return {"type": "text", "text": value}


@pytest.mark.parametrize("revision", ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"])
def test_audio_reaches_a_client_that_knows_it(revision):
    body = json.dumps({"content": [AUDIO]}).encode()

    assert call_result_for(revision, "tools/call", body) is body


def test_audio_is_told_of_to_a_client_that_does_not_know_it():
    block = {**AUDIO, "annotations": {"priority": 1}, "_meta": {"own": 1}}

    seen = told("2024-11-05", {"content": [*PLAIN, block], "isError": False})

    said = {**text("[audio, audio/wav, 5 bytes]"), "annotations": {"priority": 1}, "_meta": {"own": 1}}
    assert seen == {"content": [*PLAIN, said], "isError": False}


@given(data=st.binary(max_size=40))
def test_the_size_of_audio_is_that_of_its_bytes(data):
    block = {**AUDIO, "data": base64.b64encode(data).decode()}

    assert told("2024-11-05", {"content": [block]}) == {"content": [text(f"[audio, audio/wav, {len(data)} bytes]")]}


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-03-26"])
def test_a_link_is_told_of_to_a_client_that_does_not_know_links(revision):
    link = {**LINK, "description": "of the year"}

    seen = told(revision, {"content": [link]})

    assert seen == {"content": [text("Report: file:///r.pdf (application/pdf)\nof the year")]}


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25", "2026-07-28"])
def test_a_link_reaches_a_client_that_knows_links(revision):
    body = json.dumps({"content": [LINK]}).encode()

    assert call_result_for(revision, "tools/call", body) is body


@pytest.mark.parametrize("block", [{"type": "audio"}, {"type": "audio", "data": 7, "mimeType": None}])
def test_audio_without_what_it_needs_is_told_of_too(block):
    assert told("2024-11-05", {"content": [block]}) == {"content": [text("[audio, of unknown type, 0 bytes]")]}


def test_a_type_written_with_escapes_is_the_same_type():
    body = rb'{"content":[{"type":"\u0061udio","data":"","mimeType":"audio/wav"}]}'

    seen = json.loads(call_result_for("2024-11-05", "tools/call", body))

    assert seen == {"content": [text("[audio, audio/wav, 0 bytes]")]}


def test_the_messages_of_a_prompt_are_told_like_content():
    messages = [{"role": "user", "content": PLAIN[0]}, {"role": "assistant", "content": LINK, "own": 1}]

    seen = told("2025-03-26", {"description": "d", "messages": messages}, "prompts/get")

    said = {"role": "assistant", "content": text("Report: file:///r.pdf (application/pdf)"), "own": 1}
    assert seen == {"description": "d", "messages": [messages[0], said]}


def test_only_results_that_have_content_are_looked_at():
    body = json.dumps({"content": [AUDIO], "messages": [{"content": AUDIO}], "structuredContent": 1}).encode()

    assert call_result_for("2024-11-05", "resources/read", body) is body


@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
@given(value=VALUE, content=st.lists(st.sampled_from([*PLAIN, text("1"), text("[]")]), max_size=3))
def test_the_value_of_a_structured_result_never_gets_lost(revision, value, content):
    seen = told(revision, {"content": content, "structuredContent": value})

    validate_server_result("tools/call", revision, seen)
    texts = [block["text"] for block in seen["content"] if block["type"] == "text"]
    if isinstance(value, dict):
        assert seen["structuredContent"] == value
        assert revision >= "2025-06-18" or seen["content"]
    else:
        assert "structuredContent" not in seen
        assert value in texts or any(_equal(each, value) for each in texts)
    assert seen["content"][: len(content)] == content


def _equal(said: str, value: object) -> bool:
    try:
        read = json.loads(said)
    except ValueError:
        return False
    return read == value and isinstance(read, bool) is isinstance(value, bool)


@pytest.mark.parametrize(
    ("value", "said"), [([1, {"a": 2}], '[1, {"a":2.0}]'), ("words", "words"), ("words", '"words"'), (True, " true")]
)
def test_what_a_text_says_already_is_not_said_again(value, said):
    content = [PLAIN[1], text("else"), text(said)]

    assert told("2025-11-25", {"content": content, "structuredContent": value}) == {"content": content}


@pytest.mark.parametrize(("value", "said"), [(True, "1"), (1, "true"), ([1], "1"), (7, "{"), ("7", "7.0")])
def test_what_a_text_says_otherwise_is_said_again(value, said):
    seen = told("2025-11-25", {"content": [text(said)], "structuredContent": value})

    assert seen == {"content": [text(said), text(json.dumps(value))]}


def test_a_structured_nothing_is_left_out_and_nothing_said():
    assert told("2025-11-25", {"content": [], "structuredContent": None, "own": 1}) == {"content": [], "own": 1}


def test_a_result_without_content_gets_some():
    assert told("2025-06-18", {"structuredContent": [1]}) == {"content": [text("[1]")]}


def test_a_client_that_knows_no_structured_results_gets_its_text_if_there_is_nothing_else():
    result = {"content": [], "structuredContent": {"a": 1}}

    assert told("2025-03-26", result) == {"content": [text('{"a": 1}')], "structuredContent": {"a": 1}}
    assert told("2025-03-26", {**result, "content": [text("a")]}) == {**result, "content": [text("a")]}
    assert told("2025-06-18", result) == result


def test_a_value_beyond_us_is_still_told():
    deep = "[" * 100_000 + "]" * 100_000

    seen = call_result_for("2025-11-25", "tools/call", b'{"content":[],"structuredContent":[1e999]}')

    assert json.loads(seen) == {"content": [text("[1e999]")]}
    assert deep.encode() in call_result_for("2025-11-25", "tools/call", f'{{"structuredContent":{deep}}}'.encode())
