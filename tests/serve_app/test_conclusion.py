"""What a client is told of how its call ended, without anybody to carry it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS

from actors.bus.dialer import CallerLink
from actors.core import jsonrpc
from actors.core.client import Client
from actors.core.membership import ReplicaKey
from actors.core.outcome import Failure, FailureKind, Outcome, Reply
from actors.core.principal import ANONYMOUS
from actors.core.request import Request
from actors.core.revisions import Era
from actors.core.settings import ServerSettings
from actors.core.task_ids import TaskIds
from actors.core.where import Where
from serve_app.connect.invitation import Invitations
from serve_app.connect.ticket import Tickets
from serve_app.downstream.bridge import Bridge
from serve_app.downstream.conclusion import ERROR_STATUS, conclude
from serve_app.downstream.questions import Questions
from serve_app.downstream.trails import Trails
from serve_app.downstream.ways import Ways
from serve_app.links import Links
from serve_app.own_url import OwnUrl
from serve_app.retries import Retries

SECRET = b"secret"
MODERN, LATEST_LEGACY, OLDEST = "2026-07-28", "2025-11-25", "2024-11-05"
WHERE = Where(ReplicaKey("git", 0), "life", bytes(16), 3)
OPEN_FIRST = {
    "code": -32042,
    "message": "open this",
    "data": {"elicitations": [{"mode": "url", "elicitationId": "e1", "url": "https://idp/x", "message": "open this"}]},
}


async def dial_nobody(address: str, backend: str, on_lost: object) -> CallerLink:
    raise ConnectionRefusedError(address)


def told(end: Outcome, revision: str = MODERN, where: Where | None = WHERE, endpoint: str = "") -> Any:
    """The status, the response, and the headers."""
    invitations = Invitations(Tickets(SECRET), OwnUrl(None), ServerSettings().origin)
    questions = Questions(SECRET, Links("here", dial_nobody, lambda: 0.0))
    carried = Bridge(SECRET), questions, Trails(SECRET), TaskIds(SECRET), Retries()
    ways = Ways(*carried, keep_alive_seconds=15.0, grace_seconds=5.0, invitations=invitations)
    request = Request(b"7", "tools/call", {"name": jsonrpc.raw("echo")}, {}, Client(revision, "ada", endpoint))
    status, body, headers = conclude(ways, request, "git", end, where, {}, ANONYMOUS)
    return status, json.loads(body), dict(headers)


def test_statuses_are_those_of_the_sdk() -> None:
    assert dict(ERROR_CODE_HTTP_STATUS) == ERROR_STATUS


@pytest.mark.parametrize("revision", [MODERN, LATEST_LEGACY, OLDEST])
@given(seconds=st.none() | st.floats(0, 1e6))
def test_a_failure_says_when_to_come_back_in_whole_seconds_and_only_if_that_is_known(
    revision: str, seconds: float | None
) -> None:
    status, response, headers = told(Failure(FailureKind.BUSY, "git", "full", seconds), revision)

    assert (status, response["id"], response["error"]["data"]["reason"]) == (200, 7, "busy")
    if seconds is None:
        assert headers == {}
    else:
        assert max(1, seconds) <= int(headers[b"retry-after"]) < max(1, seconds) + 1


@pytest.mark.parametrize(
    ("revision", "endpoint", "status"),
    [(LATEST_LEGACY, "git", 404), (LATEST_LEGACY, "", 200), (OLDEST, "git", 404)],
)
def test_only_at_the_endpoint_of_one_server_a_session_ends_with_its_state(
    revision: str, endpoint: str, status: int
) -> None:
    assert told(Failure(FailureKind.SESSION_LOST, "git"), revision, endpoint=endpoint)[0] == status


def test_a_code_is_said_by_the_status_too_but_to_modern_clients_only() -> None:
    error = Reply(b'{"code": -32602, "message": "no"}', Era.MODERN, is_error=True)

    assert [told(error, revision)[0] for revision in (MODERN, LATEST_LEGACY)] == [400, 200]
    assert told(error)[1] == {"jsonrpc": "2.0", "id": 7, "error": {"code": -32602, "message": "no"}}


def test_urls_to_open_first_are_told_as_each_revision_has_that() -> None:
    error = Reply(json.dumps(OPEN_FIRST).encode(), Era.HANDSHAKE, is_error=True)

    modern, latest, oldest = (told(error, revision)[1] for revision in (MODERN, LATEST_LEGACY, OLDEST))

    assert modern["result"]["resultType"] == "input_required"
    assert modern["result"]["inputRequests"]["url-1"]["params"]["url"] == "https://idp/x"
    assert latest["error"] == OPEN_FIRST
    assert oldest["result"]["isError"] is True
    assert "https://idp/x" in oldest["result"]["content"][0]["text"]


def test_a_question_of_a_modern_server_reaches_a_modern_client_and_fails_the_call_of_any_other() -> None:
    asks = Reply(b'{"resultType": "input_required", "inputRequests": {}, "requestState": "own"}', Era.MODERN)

    modern, legacy = told(asks)[1], told(asks, LATEST_LEGACY)[1]

    assert modern["result"]["resultType"] == "input_required"
    assert modern["result"]["requestState"] not in ("own", "")
    assert legacy["error"]["data"]["reason"] == "unsupported"
    assert "takes no streams" in legacy["error"]["message"]


def test_a_task_has_an_id_that_leads_back_to_its_replica_and_is_refused_if_that_cannot_be() -> None:
    def task(task_id: str) -> Reply:
        return Reply(json.dumps({"resultType": "task", "taskId": task_id}).encode(), Era.MODERN)

    good, long = told(task("t1"))[1], told(task("t" * 3000))[1]

    assert good["result"]["taskId"] not in ("t1", "")
    assert long["error"]["data"]["reason"] == "protocol"
