import json

import pytest
from mcp_types.methods import parse_server_request, validate_client_result

from actors.core.ask_forms import answer_for, ask_for
from actors.core.impossible import Impossible

OLDER = ["2024-11-05", "2025-03-26", "2025-06-18"]
NEWER = ["2025-11-25", "2026-07-28"]
TEXT = {"type": "text", "text": "a"}
AUDIO = {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}
TOOL_USE = {"type": "tool_use", "id": "1", "name": "add", "input": {}}
METHOD = "sampling/createMessage"


def params(*contents: object, **others: object) -> dict:
    messages = [{"role": "user", "content": content, "own": 1} for content in contents]
    return {"messages": messages, "maxTokens": 5, "includeContext": "thisServer", **others}


def asked(revision: str, value: object) -> dict | Impossible:
    seen = ask_for(revision, METHOD, json.dumps(value).encode(), "")
    return seen if isinstance(seen, Impossible) else json.loads(seen)


def answered(revision: str, content: object) -> dict | Impossible:
    result = {"role": "assistant", "model": "m", "own": 1, "content": content}
    seen = answer_for(revision, METHOD, json.dumps(result).encode())
    return seen if isinstance(seen, Impossible) else json.loads(seen)["content"]


@pytest.mark.parametrize("revision", OLDER + NEWER)
def test_a_message_of_one_block_passes_byte_for_byte(revision):
    body = json.dumps(params(TEXT, tools=None), indent=1).encode()

    assert ask_for(revision, METHOD, body, "") is body


@pytest.mark.parametrize("revision", OLDER)
def test_a_message_of_several_blocks_becomes_several_messages(revision):
    seen = asked(revision, params(TEXT, [TEXT, TEXT], [], [TEXT]))

    assert seen == params(TEXT, TEXT, TEXT, TEXT)
    parse_server_request(METHOD, revision, seen)


@pytest.mark.parametrize("revision", NEWER)
def test_newer_clients_get_blocks_and_tools_byte_for_byte(revision):
    body = json.dumps(params([TEXT, TOOL_USE], tools=[{"name": "add"}])).encode()

    assert ask_for(revision, METHOD, body, "") is body


@pytest.mark.parametrize("revision", OLDER)
@pytest.mark.parametrize(
    "value",
    [params(TEXT, tools=[]), params(TEXT, toolChoice={"mode": "auto"}), params(TOOL_USE), params([TEXT, TOOL_USE])],
)
def test_older_clients_cannot_be_asked_to_use_tools(revision, value):
    assert asked(revision, value) == Impossible(
        f"sampling with tools came with 2025-11-25, and the other side speaks {revision}"
    )


def test_audio_is_told_of_to_a_client_that_does_not_know_it():
    said = {"type": "text", "text": "[audio, audio/wav, 3 bytes]"}

    assert asked("2024-11-05", params(AUDIO, [AUDIO, TEXT])) == params(said, said, TEXT)
    assert asked("2025-03-26", params(AUDIO)) == params(AUDIO)


@pytest.mark.parametrize("revision", OLDER)
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TEXT, TEXT),
        ([TEXT], TEXT),
        ([TEXT, TEXT], {"type": "text", "text": "a\na"}),
        ([], {"type": "text", "text": ""}),
    ],
)
def test_the_answer_to_an_older_server_is_one_block(revision, content, expected):
    seen = answered(revision, content)

    assert seen == expected
    validate_client_result(METHOD, revision, {"role": "assistant", "model": "m", "content": seen})


def test_audio_in_an_answer_is_told_of_to_a_server_that_does_not_know_it():
    assert answered("2024-11-05", [AUDIO]) == {"type": "text", "text": "[audio, audio/wav, 3 bytes]"}


@pytest.mark.parametrize("content", [[TEXT, AUDIO], [TEXT, {"type": "text"}], TOOL_USE, [TOOL_USE]])
def test_an_answer_that_is_more_than_one_block_can_say_is_refused(content):
    assert isinstance(answered("2025-06-18", content), Impossible)


@pytest.mark.parametrize("revision", NEWER)
def test_newer_servers_get_the_answer_byte_for_byte(revision):
    body = json.dumps({"role": "assistant", "model": "m", "content": [TEXT, TOOL_USE]}).encode()

    assert answer_for(revision, METHOD, body) is body


@pytest.mark.parametrize("content", [[[]], [1, {"type": "text", "text": "a"}], [None], 7])
def test_content_that_is_no_block_passes_as_it_is(content):
    answer = json.dumps({"role": "assistant", "content": content}).encode()
    asked = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()

    assert answer_for("2024-11-05", METHOD, answer) is answer
    assert ask_for("2024-11-05", METHOD, asked, "id") is asked
