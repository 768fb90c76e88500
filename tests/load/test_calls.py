"""The check that no driver may get wrong: what is an answer, and whose."""

import json
from typing import Any

import pytest

from load.calls import Era, Wire, last_event, objection, tool_names

JSON = "application/json"
SSE = "text/event-stream; charset=utf-8"


def answer(number: int, text: str, **more: Any) -> bytes:
    result = {"content": [{"type": "text", "text": text}], **more}
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode()


@pytest.mark.parametrize("era", Era)
def test_no_two_calls_of_a_wire_are_alike(era: Era) -> None:
    wire = Wire(era, "echo")

    questions = [wire.call() for _ in range(100)]

    assert len({question.id for question in questions}) == 100
    assert len({question.text for question in questions}) == 100
    assert all(json.loads(question.body)["id"] == question.id for question in questions)


def test_a_modern_call_carries_its_envelope_and_its_headers() -> None:
    question = Wire(Era.MODERN, "echo__echo").call()

    params = json.loads(question.body)["params"]
    assert params["_meta"]["io.modelcontextprotocol/protocolVersion"] == question.headers["MCP-Protocol-Version"]
    assert (question.headers["Mcp-Method"], question.headers["Mcp-Name"]) == ("tools/call", "echo__echo")
    assert params["arguments"] == {"text": question.text}


def test_a_legacy_call_carries_its_session_and_no_envelope() -> None:
    wire = Wire(Era.LEGACY, "echo")
    wire.session = "AbC"

    question = wire.call()

    assert question.headers["Mcp-Session-Id"] == "AbC"
    assert "_meta" not in json.loads(question.body)["params"]


@pytest.mark.parametrize("content_type", [JSON, "Application/JSON; charset=utf-8"])
def test_its_own_answer_meets_no_objection(content_type: str) -> None:
    question = Wire(Era.MODERN, "echo").call()

    assert objection(question, 200, content_type, answer(question.id, question.text)) is None


def test_an_answer_at_the_end_of_a_stream_is_found() -> None:
    question = Wire(Era.MODERN, "echo").call()
    progress = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{}}'
    stream = b": ping\r\n\r\nevent: message\r\ndata: %b\r\n\r\ndata: %b\r\n\r\n" % (
        progress,
        answer(question.id, question.text),
    )

    assert objection(question, 200, SSE, stream) is None


@pytest.mark.parametrize(
    ("status", "shift", "text", "more", "reason"),
    [
        (503, 0, None, {}, "status 503"),
        (200, 1, None, {}, "the answer to another question"),
        (200, 0, "other", {}, "the text of another question"),
        (200, 0, "", {}, "the text of another question"),
        (200, 0, None, {"isError": True}, "the tool failed"),
    ],
)
def test_any_other_answer_is_objected_to(
    status: int, shift: int, text: str | None, more: dict[str, Any], reason: str
) -> None:
    question = Wire(Era.MODERN, "echo").call()
    body = answer(question.id + shift, question.text if text is None else text, **more)

    assert objection(question, status, JSON, body) == reason


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id":"x"', b'{"id":1,"result":7}'])
def test_what_is_no_response_is_objected_to(body: bytes) -> None:
    assert objection(Wire(Era.MODERN, "echo").call(), 200, JSON, body) == "not a JSON-RPC response"


def test_an_error_is_objected_to_with_what_it_says() -> None:
    question = Wire(Era.MODERN, "echo").call()
    body = json.dumps({"id": question.id, "error": {"code": -32603, "message": "backend is down"}}).encode()

    reason = objection(question, 200, JSON, body)

    assert reason is not None
    assert "backend is down" in reason


def test_listed_tools_are_read_by_name() -> None:
    body = b'{"id":1,"result":{"tools":[{"name":"a"},{"name":"b","inputSchema":{}}]}}'

    assert tool_names(JSON, body) == ["a", "b"]
    assert tool_names(SSE, b"data: " + body + b"\n\n") == ["a", "b"]


def test_data_on_several_lines_is_one_event() -> None:
    assert last_event(b"data: {\ndata: }\n\n: end\n\n") == b"{\n}"
