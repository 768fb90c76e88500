import json
from typing import Any

import pytest

from actors.core import jsonrpc
from actors.core.envelope import Envelope
from serve_app.downstream.channel_refusal import MAX_REQUESTS, refusal_of

READY = {"opened": True, "closing": False, "under_way": 0}


def refused(method: str, state: dict[str, Any], endpoint: str = "", **meta: str) -> Any:
    members = {jsonrpc.PROTOCOL_VERSION_KEY: jsonrpc.raw(meta["revision"])} if meta else {}
    error = refusal_of(Envelope(method, b"1", {}, members), endpoint, **state)
    return None if error is None else json.loads(error)["message"]


@pytest.mark.parametrize(
    ("method", "state", "message"),
    [
        ("initialize", {"opened": False}, None),
        ("ping", {"opened": False}, None),
        ("tools/list", {"opened": False}, "initialize comes first"),
        ("tools/list", {}, None),
        ("tools/list", {"under_way": MAX_REQUESTS - 1}, None),
        ("tools/list", {"under_way": MAX_REQUESTS}, "this connection has 256 requests under way; wait for an answer"),
        ("tools/list", {"closing": True}, "the session has ended; connect again"),
        ("initialize", {}, "this connection has its session already"),
    ],
)
def test_what_is_taken_goes_by_the_state_of_the_channel(
    method: str, state: dict[str, Any], message: str | None
) -> None:
    assert refused(method, READY | state) == message


def test_of_several_reasons_the_first_rung_is_told() -> None:
    full = {"opened": True, "closing": True, "under_way": MAX_REQUESTS}

    assert "over HTTP" in refused("initialize", full, revision="2026-07-28")
    assert refused("initialize", full) == "this connection has its session already"
    assert refused("tools/list", full) == "the session has ended; connect again"


@pytest.mark.parametrize(("endpoint", "path"), [("", "/mcp"), ("git", "/servers/git/mcp")])
def test_a_modern_client_is_told_where_to_go_and_no_more_of_what_it_said_than_is_good(endpoint: str, path: str) -> None:
    told = refused("tools/list", READY, endpoint, revision="x" * 1000)

    assert told == f"this connection begins with initialize; requests of {'x' * 64} go to {path} over HTTP"
