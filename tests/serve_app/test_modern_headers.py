"""What a modern client says twice, in headers and in the body, and what happens when the two differ."""

import json

import pytest

from actors.core.listing import Item, Listing
from tests.support.asgi import Conversation, ask
from tests.support.house import Plan, Replica, doorway
from tests.support.posts import MODERN, ModernClient, modern_meta

ANNOTATED = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}


def refused(conversation: Conversation) -> tuple[int, int]:
    """The HTTP status and the JSON-RPC code."""
    return conversation.status, conversation.json["error"]["code"]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("mcp-protocol-version", None),
        ("mcp-protocol-version", "2099-01-01"),
        ("mcp-method", None),
        ("mcp-method", "tools/list"),
        ("mcp-method", "Tools/Call"),
        ("mcp-name", None),
        ("mcp-name", "git__other"),
        ("mcp-name", "=?base64?!!!?="),
    ],
)
async def test_headers_that_contradict_the_body_are_refused(header: str, value: str | None) -> None:
    replica = Replica()
    async with doorway(replica) as gateway:
        answered = await ModernClient(gateway).call("git__echo", headers={header: value})

    assert refused(answered) == (400, -32020)
    assert replica.exchanges == []


async def test_a_repeated_routing_header_is_refused_even_if_one_of_the_two_is_right() -> None:
    replica = Replica()
    params = {"name": "git__echo", "arguments": {}, "_meta": modern_meta()}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    headers = [("mcp-protocol-version", MODERN), ("mcp-method", "tools/call"), ("mcp-name", "git__echo")]
    async with doorway(replica) as gateway:
        answered = await ask(gateway, "POST", "/mcp", [*headers, ("mcp-name", "git__echo")], [body])

    assert refused(answered) == (400, -32020)
    assert replica.exchanges == []


async def test_white_space_and_base64_in_headers_are_understood() -> None:
    listing = Listing(tools=(Item("größe", '{"name":"größe"}'.encode()),))
    async with doorway(Replica(), plan=Plan(listings={"git": listing})) as gateway:
        client = ModernClient(gateway, "/servers/git/mcp")
        wrapped = await client.call("größe")
        padded = await client.call("größe", headers={"mcp-method": " tools/call \t"})

    assert (wrapped.status, padded.status) == (200, 200)
    assert wrapped.json["result"]["name"] == "größe"


@pytest.mark.parametrize(
    ("arguments", "header", "code"),
    [
        ({"region": "eu"}, "eu", None),
        ({}, None, None),
        ({"region": None}, None, None),
        ({"region": "eu"}, None, -32020),
        ({"region": "eu"}, "us", -32020),
        ({}, "eu", -32020),
        ({"region": "eu"}, "=?base64?***?=", -32020),
    ],
)
async def test_annotated_arguments_are_checked_against_their_headers(
    arguments: dict[str, str | None], header: str | None, code: int | None
) -> None:
    tool = json.dumps({"name": "deploy", "inputSchema": ANNOTATED}).encode()
    plan = Plan(listings={"git": Listing(tools=(Item("deploy", tool),))})
    async with doorway(Replica(), plan=plan) as gateway:
        answered = await ModernClient(gateway).call("git__deploy", arguments, headers={"mcp-param-region": header})

    assert answered.json.get("error", {}).get("code") == code
    assert answered.status == (200 if code is None else 400)


async def test_an_unknown_param_header_is_ignored() -> None:
    async with doorway(Replica()) as gateway:
        answered = await ModernClient(gateway).call("git__echo", headers={"mcp-param-other": "x"})

    assert answered.status == 200
