import json

import pytest
from mcp_types.methods import validate_server_result

from actors.core.url_elicitation import url_requests, url_result

FIRST = {"mode": "url", "elicitationId": "a", "url": "https://x/a", "message": "Sign in"}
SECOND = {"mode": "url", "elicitationId": "b", "url": "https://x/b", "message": "Pay", "own": 1}


def error(*elicitations: object, code: int = -32042) -> bytes:
    return json.dumps({"code": code, "message": "More is needed", "data": {"elicitations": elicitations}}).encode()


def test_the_urls_of_the_error_become_asks_of_a_modern_server():
    requests = {key: json.loads(body) for key, body in url_requests(error(FIRST, SECOND)).items()}

    assert [each["method"] for each in requests.values()] == ["elicitation/create"] * 2
    assert [each["params"] for each in requests.values()] == [
        {"mode": "url", "url": "https://x/a", "message": "Sign in"},
        {"mode": "url", "url": "https://x/b", "message": "Pay", "own": 1},
    ]
    validate_server_result("tools/call", "2026-07-28", {"resultType": "input_required", "inputRequests": requests})


@pytest.mark.parametrize("more", [{}, {"message": 7}, {"task": {}}])
def test_a_url_without_mode_or_message_is_one_all_the_same(more):
    (body,) = url_requests(error({"url": "https://x/a", **more})).values()

    assert json.loads(body)["params"] == {"mode": "url", "url": "https://x/a", "message": "More is needed"}


@pytest.mark.parametrize(
    "body",
    [
        error(FIRST, code=-32000),
        error(),
        error(FIRST, {**SECOND, "mode": "form"}),
        error(FIRST, {"mode": "url", "message": "m"}),
        error(FIRST, 7),
        b'{"code":-32042,"message":"m"}',
        b'{"code":-32042,"message":"m","data":[]}',
        b'{"code":-32042,"message":"m","data":{"elicitations":{}}}',
    ],
)
def test_an_error_that_does_not_name_all_its_urls_asks_for_nothing(body):
    assert url_requests(body) is None


def test_a_client_that_cannot_be_asked_reads_the_urls():
    result = json.loads(url_result(url_requests(error(FIRST, SECOND))))

    validate_server_result("tools/call", "2025-06-18", result)
    assert result["isError"] is True
    assert result["content"][0]["text"].splitlines()[1:] == ["Sign in: https://x/a", "Pay: https://x/b"]


def test_only_urls_are_read_out_of_the_questions_of_a_modern_server():
    form = b'{"method":"elicitation/create","params":{"mode":"form","message":"m","url":"https://x/f"}}'
    other = b'{"method":"roots/list","params":{"url":"https://x/r"}}'
    url = b'{"method":"elicitation/create","params":{"mode":"url","url":"https://x/a"}}'

    result = json.loads(url_result({"1": form, "2": other, "3": url, "4": b"7"}))

    assert result["content"][0]["text"].splitlines()[1:] == ["https://x/a"]
    assert url_result({"1": form, "2": other, "4": b"7"}) is None
