"""The items in which a server asks the client something, and one that is like them: what it tells during a call."""

import json
from typing import Any

from tests.support.cross_era_modern import ModernClient
from tests.support.cross_era_pair import Pair, completed
from tests.support.cross_era_verdict import ABSENT, WORKS, Loss, Verdict, impossible, lost
from tests.support.fixture_asks import URL
from tests.support.fixture_kinds import ASKING_ARGUMENT

ELICIT = "elicitation/create"
SAMPLE = "sampling/createMessage"


async def log(pair: Pair) -> Verdict:
    """The messages of the level that was asked for, and no others."""
    await pair.client.want_logs("warning")

    async def logged(level: str) -> list[dict[str, Any]]:
        had = len(pair.client.heard("notifications/message"))
        params = {"name": "log", "arguments": {"level": level, "text": level}}
        answer = await pair.client.request("tools/call", params, level="warning")
        assert answer.text == "1 messages"
        return pair.client.heard("notifications/message")[had:]

    assert await logged("info") == []
    (message,) = await logged("error")
    message.pop("_meta", None)
    assert message == {"level": "error", "logger": "fixture", "data": {"text": "error", "number": 0}}
    async with pair.crowd():
        return WORKS if await logged("error") else lost(Loss.ALONE)


async def elicit(pair: Pair) -> Verdict:
    """A form, and a choice with titles."""
    verdict = await _asked(pair, "ask_form", ELICIT)
    if verdict.impossible:
        return verdict
    assert pair.client.questions(ELICIT)[-1]["requestedSchema"]["properties"] == {"name": {"type": "string"}}
    assert (await pair.client.call("ask_choice")).text
    size = pair.client.questions(ELICIT)[-1]["requestedSchema"]["properties"]["size"]
    if "oneOf" in size:
        return verdict
    assert (size["enum"], size["enumNames"]) == (["s", "l"], ["Small", "Large"])
    return lost(*verdict.losses, Loss.TITLES)


async def elicit_url(pair: Pair) -> Verdict:
    """A page that the user is sent to."""
    client = pair.client
    verdict = await _asked(pair, "ask_url", ELICIT)
    if verdict.impossible:
        return verdict
    params = client.questions(ELICIT)[-1]
    modern = isinstance(client, ModernClient)
    assert (params["mode"], params["url"], params["message"]) == ("url", URL, "Please agree")
    assert ("elicitationId" in params) is not modern
    # the modern era neither has nor needs this: its client tries again
    told = modern or client.heard("notifications/elicitation/complete")
    return verdict if told else lost(*verdict.losses, Loss.DONE)


async def sample(pair: Pair) -> Verdict:
    """The client's model says something."""
    verdict = await _asked(pair, "ask_sample", SAMPLE)
    (message,) = pair.client.questions(SAMPLE)[-1]["messages"]
    assert message == {"role": "user", "content": {"type": "text", "text": "Say something"}}
    return verdict


async def roots(pair: Pair) -> Verdict:
    """The client's roots."""
    return await _asked(pair, "ask_roots", "roots/list")


async def ask_elsewhere(pair: Pair) -> Verdict:
    """A question during a request other than those three in which a modern client can be asked."""
    if pair.modern_server:
        return ABSENT
    (told,) = await completed(pair.client, ASKING_ARGUMENT, "")
    return WORKS if told == "hi" else impossible(told)


async def _asked(pair: Pair, tool: str, method: str) -> Verdict:
    """Call a tool that asks, by itself and while somebody else's call is under way."""
    client = pair.client
    asked = len(client.questions(method))
    answer = await client.call(tool)
    if answer.trouble:
        assert len(client.questions(method)) == asked, "it was asked, and yet it failed"
        return impossible(answer.trouble)
    assert len(client.questions(method)) == asked + 1
    assert json.loads(answer.text) == {"asked": client.answers[method]}
    losses = set()
    if isinstance(client, ModernClient):
        assert (await client.retry(-1)).trouble.startswith("-32602 "), "its state worked twice"
        if await _waits(client, tool):
            losses.add(Loss.OPEN)
    async with pair.crowd():
        crowded = await client.call(tool)
    if crowded.trouble:
        assert "isolation" in crowded.trouble
        losses.add(Loss.ALONE)
    else:
        assert crowded.text == answer.text
    return lost(*losses)


async def _waits(client: ModernClient, tool: str) -> bool:
    """Whether the call waits at the server while its client has the question."""
    waiting: list[str] = []

    async def look() -> None:
        waiting.append((await client.call("waiting")).text)

    client.before_answering = look
    assert (await client.call(tool)).text
    client.before_answering = None
    return waiting != ["0"]
