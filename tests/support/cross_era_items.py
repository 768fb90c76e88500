"""What a client does with a server, item by item.

An item tells what it found. It notices a loss by comparing what the client got with what the server is known to have
sent; whatever is wrong beyond that is an AssertionError.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mcp_types import INVALID_PARAMS

from tests.support.cross_era_client import Client
from tests.support.cross_era_modern import ModernClient
from tests.support.cross_era_pair import WAIT, Pair, completed, slow_call
from tests.support.cross_era_questions import ask_elsewhere, elicit, elicit_url, log, roots, sample
from tests.support.cross_era_verdict import WORKS, Loss, Verdict, lost
from tests.support.fixture_kinds import NUMBERS
from tests.support.fixture_tools import COUNTER_URI, FILLERS
from tests.support.processes import eventually

NOT_FOUND: Final = -32002
"""What the handshake era has for a resource that is not there; the modern era has `INVALID_PARAMS`."""

Item = Callable[[Pair], Awaitable[Verdict]]

LISTS: Final = {
    "tools": "tools/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
    "prompts": "prompts/list",
}


async def lists(pair: Pair) -> Verdict:
    """Every entry of every list, once."""
    tools = await everything(pair.client, "tools")
    resources = [resource["uri"] for resource in await everything(pair.client, "resources")]
    templates = [template["uriTemplate"] for template in await everything(pair.client, "resourceTemplates")]
    prompts = [prompt["name"] for prompt in await everything(pair.client, "prompts")]

    assert sum(tool["name"].startswith("filler_") for tool in tools) == FILLERS
    assert sorted(resources) == ["fixture://blob", COUNTER_URI, "fixture://text"]
    assert templates == ["fixture://items/{key}"]
    assert sorted(prompts) == ["asking", "greet", "plain"]
    (numbers,) = (tool for tool in tools if tool["name"] == "numbers")
    return lost(Loss.SCHEMAS) if pair.modern_server and "outputSchema" not in numbers else WORKS


async def calls(pair: Pair) -> Verdict:
    """Tools with content of every kind, a prompt, and a resource."""
    client = pair.client
    echoed = (await client.call("echo", text="häl\nlo")).text
    annotated = (await client.call("annotated")).value
    kinds = (await client.call("kinds")).value["content"]
    numbers = (await client.call("numbers")).value
    prompt = (await client.request("prompts/get", {"name": "greet", "arguments": {"name": "Ada"}})).value
    read = (await client.request("resources/read", {"uri": "fixture://items/beta"})).value

    assert echoed == "häl\nlo"
    assert (annotated["structuredContent"], annotated["x-result"]) == ({"value": 7, "unit": "kg"}, {"kept": True})
    assert prompt["messages"][0]["content"]["text"] == "Greet Ada in a formal way."
    assert read["contents"] == [{"uri": "fixture://items/beta", "mimeType": "text/plain", "text": "item beta"}]
    losses = set()
    known = {"audio": "2025-03-26", "resource_link": "2025-06-18"}
    wanted = [kind if client.revision >= since else "text" for kind, since in known.items()]
    assert [block["type"] for block in kinds] == ["text", *wanted]
    if "text" in wanted:
        losses.add(Loss.BLOCKS)
    if pair.modern_server and "structuredContent" not in numbers:
        assert json.loads(numbers["content"][-1]["text"]) == NUMBERS
        losses.add(Loss.VALUES)
    return lost(*losses)


async def progress(pair: Pair) -> Verdict:
    """Every step, under the client's own token."""
    params = {"name": "progress", "arguments": {"steps": 3}}
    answer = await pair.client.request("tools/call", params, meta={"progressToken": "my token"})

    assert answer.text == "3 steps"
    heard = pair.client.heard("notifications/progress")
    assert [(each["progressToken"], each["progress"], each["total"], each["message"]) for each in heard] == [
        ("my token", step, 3, f"step {step}") for step in (1, 2, 3)
    ]
    return WORKS


async def cancel(pair: Pair) -> Verdict:
    """A call that is cancelled ends at the server."""
    async with slow_call(pair.client):
        return WORKS


async def subscribe(pair: Pair) -> Verdict:
    """A resource that was subscribed to is announced when it changes."""
    client = pair.client
    async with client.following(COUNTER_URI):
        assert (await client.call("touch")).text
        await eventually(lambda: client.heard("notifications/resources/updated"), WAIT)
    (update,) = client.heard("notifications/resources/updated")
    assert update["uri"] == COUNTER_URI
    return WORKS


async def list_changed(pair: Pair) -> Verdict:
    """A tool that comes later is announced, and in the list."""
    client = pair.client
    async with client.following(COUNTER_URI):
        name = (await client.call("change_tools")).text
        await eventually(lambda: client.heard("notifications/tools/list_changed"), WAIT)
    assert name in {tool["name"] for tool in await everything(client, "tools")}
    return WORKS


async def completion(pair: Pair) -> Verdict:
    """The values of an argument."""
    assert await completed(pair.client, "style", "f") == ["formal", "friendly"]
    return WORKS


async def error(pair: Pair) -> Verdict:
    """Errors of tools and of the protocol, and what is not there."""
    client = pair.client
    failed = await client.call("fail", text="no luck")
    raised = await client.call("raise", code=-31000, message="raised", data={"why": [1]})
    unknown = await client.call("nothing_of_this_name")
    missing = await client.request("resources/read", {"uri": "fixture://nothing"})
    gone = await client.call("raise", code=NOT_FOUND, message="gone")
    method = await client.request("nothing/like/this")

    assert failed.value["isError"]
    assert failed.trouble.endswith("no luck")
    assert raised.error == {"code": -31000, "message": "raised", "data": {"why": [1]}}
    assert "nothing_of_this_name" in unknown.trouble
    assert method.trouble.startswith("-32601 ")
    modern = isinstance(client, ModernClient)
    assert missing.trouble.startswith(f"{NOT_FOUND if pair.modern_server and not modern else INVALID_PARAMS} ")
    # of a modern server it is a code of its own
    assert pair.modern_server or gone.trouble == f"{INVALID_PARAMS if modern else NOT_FOUND} gone"
    return WORKS


async def everything(client: Client, key: str) -> list[dict[str, Any]]:
    """All entries of a list, page by page."""
    entries: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await client.request(LISTS[key], cursor)).value
        entries += page[key]
        if "nextCursor" not in page:
            return entries
        cursor = {"cursor": page["nextCursor"]}


ITEMS: Final[dict[str, Item]] = {
    "list": lists,
    "call": calls,
    "progress": progress,
    "cancel": cancel,
    "log": log,
    "elicit": elicit,
    "elicit by URL": elicit_url,
    "sample": sample,
    "roots": roots,
    "ask elsewhere": ask_elsewhere,
    "subscribe": subscribe,
    "list_changed": list_changed,
    "completion": completion,
    "error": error,
}
"""In the order in which they are done and shown."""
