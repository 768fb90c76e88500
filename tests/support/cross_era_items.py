"""What a client does with a server, item by item.

An item tells what it found. It notices a loss by comparing what the client got with what the server is known to have
sent; whatever is wrong beyond that is an AssertionError. In the fixture server only the tools of one call at a time may
be asked for, so nobody else uses the server meanwhile, but for the caller of `crowd`.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from tests.support.cross_era_client import ANSWERS, Answer, Client
from tests.support.cross_era_modern import ModernClient
from tests.support.cross_era_verdict import WORKS, Loss, Verdict, impossible, lost
from tests.support.fixture_asks import URL
from tests.support.fixture_kinds import ASKING_ARGUMENT, NUMBERS
from tests.support.fixture_tools import COUNTER_URI, FILLERS
from tests.support.processes import eventually

WAIT: Final = 15.0
"""Seconds for what is told when it happens."""

LISTS: Final = {
    "tools": "tools/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
    "prompts": "prompts/list",
}


@dataclass(frozen=True)
class Pair:
    """A client, and what it is to know of the server it talks to."""

    client: Client
    modern_server: bool
    bystander: Client
    """Another caller of the same server."""


Item = Callable[[Pair], Awaitable[Verdict]]


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


async def lists(pair: Pair) -> Verdict:
    """Every entry of every list, once."""
    tools = {tool["name"]: tool for tool in await everything(pair.client, "tools")}
    resources = [resource["uri"] for resource in await everything(pair.client, "resources")]
    templates = [template["uriTemplate"] for template in await everything(pair.client, "resourceTemplates")]
    prompts = [prompt["name"] for prompt in await everything(pair.client, "prompts")]

    assert sum(name.startswith("filler_") for name in tools) == FILLERS
    assert sorted(resources) == ["fixture://blob", COUNTER_URI, "fixture://text"]
    assert templates == ["fixture://items/{key}"]
    assert sorted(prompts) == ["asking", "greet", "plain"]
    schema = tools["numbers"].get("outputSchema")
    return lost(Loss.SCHEMAS) if pair.modern_server and schema is None else WORKS


async def calls(pair: Pair) -> Verdict:
    """Tools with content of every kind, a prompt, and resources."""
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
    assert len(kinds) == 3
    losses = set()
    if [block["type"] for block in kinds] != ["text", "audio", "resource_link"]:
        assert all(block["text"] for block in kinds if block["type"] == "text")
        losses.add(Loss.BLOCKS)
    if pair.modern_server and "structuredContent" not in numbers:
        assert json.loads(numbers["content"][-1]["text"]) == NUMBERS
        losses.add(Loss.VALUES)
    return lost(*losses)


async def progress(pair: Pair) -> Verdict:
    """Every step, before the answer, under the client's own token."""
    params = {"name": "progress", "arguments": {"steps": 3}}
    (await pair.client.request("tools/call", params, meta={"progressToken": "my token"})).value

    heard = pair.client.heard("notifications/progress")
    assert {each["progressToken"] for each in heard} == {"my token"}
    assert [(each["progress"], each["total"], each["message"]) for each in heard] == [
        (step, 3, f"step {step}") for step in (1, 2, 3)
    ]
    return WORKS


async def cancel(pair: Pair) -> Verdict:
    """A call that is cancelled ends at the server."""
    before = await _ran(pair.client)
    running = pair.client.begin("tools/call", {"name": "slow", "arguments": {"seconds": 300}})
    await eventually(lambda: _grew(pair.client, "started", before), WAIT)
    await pair.client.cancel(running)
    await eventually(lambda: _grew(pair.client, "cancelled", before), WAIT)
    return WORKS


async def log(pair: Pair) -> Verdict:
    """The messages of the level that was asked for, and no others."""
    await pair.client.want_logs("warning")

    async def logged(level: str) -> list[dict[str, Any]]:
        had = len(pair.client.heard("notifications/message"))
        params = {"name": "log", "arguments": {"level": level, "text": level}}
        (await pair.client.request("tools/call", params, level="warning")).value
        return pair.client.heard("notifications/message")[had:]

    assert await logged("info") == []
    (message,) = await logged("error")
    message.pop("_meta", None)
    assert message == {"level": "error", "logger": "fixture", "data": {"text": "error", "number": 0}}
    async with _crowd(pair):
        return WORKS if await logged("error") else lost(Loss.ALONE)


async def elicit(pair: Pair) -> Verdict:
    """A form, and a choice with titles."""
    verdict = await _asked(pair, "ask_form", "elicitation/create")
    if verdict.impossible:
        return verdict
    assert pair.client.questions("elicitation/create")[-1]["requestedSchema"]["properties"]["name"]
    (await pair.client.call("ask_choice")).text
    size = pair.client.questions("elicitation/create")[-1]["requestedSchema"]["properties"]["size"]
    if "oneOf" in size:
        return verdict
    assert (size["enum"], size["enumNames"]) == (["s", "l"], ["Small", "Large"])
    return lost(*verdict.losses, Loss.TITLES)


async def elicit_url(pair: Pair) -> Verdict:
    """A page that the user is sent to."""
    verdict = await _asked(pair, "ask_url", "elicitation/create")
    if not verdict.impossible:
        params = pair.client.questions("elicitation/create")[-1]
        assert (params["mode"], params["url"], params["message"]) == ("url", URL, "Please agree")
        assert ("elicitationId" in params) is (not isinstance(pair.client, ModernClient))
    return verdict


async def sample(pair: Pair) -> Verdict:
    """The client's model says something."""
    verdict = await _asked(pair, "ask_sample", "sampling/createMessage")
    (message,) = pair.client.questions("sampling/createMessage")[-1]["messages"]
    assert message == {"role": "user", "content": {"type": "text", "text": "Say something"}}
    return verdict


async def roots(pair: Pair) -> Verdict:
    """The client's roots."""
    return await _asked(pair, "ask_roots", "roots/list")


async def ask_elsewhere(pair: Pair) -> Verdict:
    """A question during a request that is not a call, which only servers of the handshake era have."""
    told = await _completed(pair.client, ASKING_ARGUMENT, "")
    return WORKS if told == ["hi"] else impossible(told[0])


async def subscribe(pair: Pair) -> Verdict:
    """A resource that changes is announced as long as it is subscribed to."""
    client = pair.client
    async with client.following(COUNTER_URI):
        await client.call("touch")
        await eventually(lambda: client.heard("notifications/resources/updated"), WAIT)
    assert {each["uri"] for each in client.heard("notifications/resources/updated")} == {COUNTER_URI}
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
    assert await _completed(pair.client, "style", "f") == ["formal", "friendly"]
    return WORKS


async def error(pair: Pair) -> Verdict:
    """Errors of tools, of the protocol, and of what is not there."""
    client = pair.client
    failed = await client.call("fail", text="no luck")
    raised = await client.call("raise", code=-31000, message="raised", data={"why": [1]})
    unknown = await client.call("nothing_of_this_name")
    missing = await client.request("resources/read", {"uri": "fixture://nothing"})
    method = await client.request("nothing/like/this")

    assert failed.value["isError"]
    assert failed.trouble == "no luck"
    assert raised.error == {"code": -31000, "message": "raised", "data": {"why": [1]}}
    assert unknown.error is not None
    assert unknown.error["code"] == -32602
    assert missing.error is not None
    assert missing.error["code"] == (-32602 if isinstance(client, ModernClient) else -32002)
    assert method.error is not None
    assert method.error["code"] == -32601
    return WORKS


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


async def _asked(pair: Pair, tool: str, method: str) -> Verdict:
    """Call a tool that asks, by itself and with somebody else's call under way."""
    client = pair.client
    waiting: list[int] = []

    async def look() -> None:
        waiting.append(int((await client.call("waiting")).text))

    if isinstance(client, ModernClient):
        client.before_answering = look
    asked = len(client.questions(method))
    answer = await client.call(tool)
    if isinstance(client, ModernClient):
        client.before_answering = None
        if client.states:
            again = await client.retry(-1)
            assert again.error is not None, "a state worked twice"
            assert again.error["code"] == -32602
    if answer.trouble:
        assert len(client.questions(method)) == asked, "it was asked, and yet failed"
        return impossible(answer.trouble)
    assert json.loads(answer.text) == {"asked": _normal(ANSWERS[method])}
    losses = {Loss.OPEN} if any(waiting) else set()
    async with _crowd(pair):
        crowded = await client.call(tool)
    if crowded.trouble:
        assert "isolation" in crowded.trouble
        losses.add(Loss.ALONE)
    else:
        assert crowded.text == answer.text
    return lost(*losses)


def _normal(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if value is not None}


@asynccontextmanager
async def _crowd(pair: Pair) -> AsyncIterator[None]:
    """While the bystander has a call under way."""
    before = await _ran(pair.bystander)
    running = pair.bystander.begin("tools/call", {"name": "slow", "arguments": {"seconds": 300}})
    await eventually(lambda: _grew(pair.bystander, "started", before), WAIT)
    try:
        yield
    finally:
        await pair.bystander.cancel(running)
        await eventually(lambda: _grew(pair.bystander, "cancelled", before), WAIT)


async def _ran(client: Client) -> dict[str, int]:
    answer: Answer = await client.call("ran")
    counts: dict[str, int] = answer.value["structuredContent"]
    return counts


async def _grew(client: Client, what: str, before: dict[str, int]) -> bool:
    return (await _ran(client))[what] == before[what] + 1


async def _completed(client: Client, argument: str, value: str) -> list[str]:
    params = {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": argument, "value": value}}
    values: list[str] = (await client.request("completion/complete", params)).value["completion"]["values"]
    return values
