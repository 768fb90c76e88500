"""Servers written with the SDK ask their client in the middle of a call, over HTTP and stdio, in both eras."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from actors.connect import connect
from actors.core.endpoints import Endpoint, HttpEndpoint, StdioEndpoint
from actors.core.jsonrpc import Message
from actors.core.outcome import Reply
from actors.core.revisions import Era
from actors.core.settings import BackendSettings
from actors.transports.transport import Transport
from actors.upstream.detect import open_upstream
from actors.upstream.upstream import UPDATED, Upstream
from tests.support.fixture_asks import URL
from tests.support.fixture_tools import COUNTER_URI
from tests.support.processes import ROOT, Listening, command, eventually, listening
from tests.support.recorder import LIMIT
from tests.support.upstreams import ListenerRecorder, tool_call

MODULE = "tests.support.fixture_server"
EVERYTHING = b'{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}'
ACCEPT = {"action": "accept", "content": {"name": "Ada"}}
SAMPLED = {"role": "assistant", "content": {"type": "text", "text": "something"}, "model": "m"}
ROOTS = {"roots": [{"uri": "file:///work", "name": "work"}]}
ERAS = ("legacy", "modern")


@pytest.fixture(scope="module")
def legacy_over_http() -> Iterator[Listening]:
    with listening(MODULE, "--http", "0", "--era", "legacy") as server:
        yield server


@pytest.fixture(scope="module")
def modern_over_http() -> Iterator[Listening]:
    with listening(MODULE, "--http", "0", "--era", "modern") as server:
        yield server


@pytest.fixture(params=ERAS)
def over_http(request: pytest.FixtureRequest) -> Listening:
    server: Listening = request.getfixturevalue(f"{request.param}_over_http")
    return server


class Spoken:
    """A conversation with a server."""

    def __init__(self) -> None:
        self.upstream: Upstream
        self.messages: list[Message] = []

    def start(self, name: str, arguments: dict[str, Any] | None = None, **fields: Any) -> ListenerRecorder:
        """Start an interactive call."""
        listener = ListenerRecorder()
        options = {"interactive": True, "capabilities": EVERYTHING, "session": b"s", **fields}
        self.upstream.start(tool_call(name, arguments, **options), listener)
        return listener

    @property
    def updated(self) -> list[str]:
        """The resources that were said to be updated."""
        return [json.loads(bytes(message.params))["uri"] for message in self.messages if message.method == UPDATED]


@asynccontextmanager
async def speaking(endpoint: Endpoint) -> AsyncIterator[Spoken]:
    spoken = Spoken()
    transport = connect(BackendSettings(name="fixture", endpoint=endpoint))

    async def start() -> Transport:
        await transport.connect()
        return transport

    try:
        spoken.upstream = await open_upstream(start, "fixture", spoken.messages.append, limit=LIMIT)
        yield spoken
        spoken.upstream.stop()
    finally:
        await transport.close()


def over_stdio(era: str) -> StdioEndpoint:
    executable, *args = command(MODULE, "--stdio", "--era", era)
    return StdioEndpoint(command=executable, args=tuple(args), cwd=str(ROOT))


async def asked(listener: ListenerRecorder, number: int = 0) -> Any:
    """Wait for a question."""
    await eventually(lambda: len(listener.asked) > number or bool(listener.outcomes))
    return listener.asked[number]


async def told(listener: ListenerRecorder) -> Any:
    """Wait for what the tool made of the answers."""
    outcome = await listener.outcome()
    assert isinstance(outcome, Reply), outcome
    assert not outcome.is_error, outcome.body
    return json.loads(json.loads(outcome.body)["content"][0]["text"])


async def ask_everything(spoken: Spoken) -> None:
    """Each kind of question, its answer, and that each tool came to its end once."""
    before = Counter(await told(spoken.start("asked")))
    form = spoken.start("ask_form")
    question = await asked(form)
    assert question["method"] == "elicitation/create"
    assert question["params"]["requestedSchema"]["properties"].keys() == {"name"}
    form.answer(result=ACCEPT)
    assert await told(form) == {"asked": ACCEPT}

    page = spoken.start("ask_url")
    assert (await asked(page))["params"]["url"] == URL
    page.answer(result={"action": "accept"})
    assert await told(page) == {"asked": {"action": "accept"}}

    sample = spoken.start("ask_sample")
    assert (await asked(sample))["method"] == "sampling/createMessage"
    sample.answer(result=SAMPLED)
    assert await told(sample) == {"asked": SAMPLED}

    roots = spoken.start("ask_roots")
    assert await asked(roots) == {"method": "roots/list", "params": {}}
    roots.answer(result=ROOTS)
    assert await told(roots) == {"asked": ROOTS}

    twice = spoken.start("ask_twice")
    await asked(twice)
    twice.answer(0, result=ACCEPT)
    assert (await asked(twice, 1))["params"]["requestedSchema"]["properties"].keys() == {"age"}
    twice.answer(1, result={"action": "accept", "content": {"age": 36}})
    assert await told(twice) == {"name": ACCEPT, "age": {"action": "accept", "content": {"age": 36}}}

    ran = Counter(await told(spoken.start("asked")))
    assert ran - before == Counter(("ask_form", "ask_url", "ask_sample", "ask_roots", "ask_twice"))


async def test_every_question_is_answered_over_http(over_http: Listening):
    async with speaking(HttpEndpoint(url=over_http.url)) as spoken:
        await ask_everything(spoken)


@pytest.mark.parametrize("era", ERAS)
async def test_every_question_is_answered_over_stdio(era: str):
    async with speaking(over_stdio(era)) as spoken:
        assert spoken.upstream.facts.era is (Era.MODERN if era == "modern" else Era.HANDSHAKE)
        await ask_everything(spoken)


async def test_a_prompt_asks_too(over_http: Listening):
    listener = ListenerRecorder()
    async with speaking(HttpEndpoint(url=over_http.url)) as spoken:
        call = tool_call("asking", method="prompts/get", interactive=True, capabilities=EVERYTHING)
        spoken.upstream.start(call, listener)
        await asked(listener)
        listener.answer(result=ACCEPT)
        outcome = await listener.outcome()

    assert json.loads(json.loads(outcome.body)["messages"][0]["content"]["text"]) == {"asked": ACCEPT}


async def test_many_callers_at_once_each_answer_their_own_question_over_http(over_http: Listening):
    async with speaking(HttpEndpoint(url=over_http.url)) as spoken:
        callers = [spoken.start("ask_form", session=b"%d" % number) for number in range(20)]
        for number, caller in reversed(list(enumerate(callers))):
            await asked(caller)
            caller.answer(result={"action": "accept", "content": {"name": f"caller {number}"}})
        names = [(await told(caller))["asked"]["content"]["name"] for caller in callers]

    assert names == [f"caller {number}" for number in range(20)]


async def test_a_client_that_cannot_be_asked_is_told_by_the_tool_and_nobody_waits(legacy_over_http: Listening):
    async with speaking(HttpEndpoint(url=legacy_over_http.url)) as spoken:
        caller = spoken.start("ask_form", capabilities=b"{}")
        outcome = await caller.outcome()

    assert caller.asked == []
    assert b"declare" in outcome.body


async def test_a_refused_sample_reaches_a_handshake_server_as_the_error_it_is(legacy_over_http: Listening):
    async with speaking(HttpEndpoint(url=legacy_over_http.url)) as spoken:
        caller = spoken.start("ask_sample")
        await asked(caller)
        caller.answer(error={"code": -1, "message": "user rejected sampling request"})
        outcome = await caller.outcome()

    assert b"user rejected sampling request" in outcome.body


async def test_updates_are_heard_also_after_the_server_forgot_the_session(legacy_over_http: Listening):
    async with speaking(HttpEndpoint(url=legacy_over_http.url)) as spoken:
        spoken.upstream.subscribe(frozenset({COUNTER_URI}))
        await touched(spoken)
        async with httpx.AsyncClient() as client:
            await client.post(f"{legacy_over_http.origin}/forget")
        await spoken.start("echo", {"text": "who are you?"}).outcome()
        await eventually(lambda: UPDATED in [message.method for message in spoken.messages])
        spoken.messages.clear()

        await touched(spoken)


@pytest.mark.parametrize("era", ERAS)
async def test_updates_are_heard_over_stdio_until_they_are_not_wanted(era: str):
    async with speaking(over_stdio(era)) as spoken:
        spoken.upstream.subscribe(frozenset({COUNTER_URI}))
        await touched(spoken)
        spoken.upstream.subscribe(frozenset())
        async with asyncio.timeout(LIMIT):
            while spoken.updated:
                spoken.messages.clear()
                await spoken.start("touch").outcome()


async def touched(spoken: Spoken) -> None:
    """Touch the counter until an update is heard: when exactly the subscription begins, only the server knows."""
    async with asyncio.timeout(LIMIT):
        while not spoken.updated:
            await spoken.start("touch").outcome()
    assert set(spoken.updated) == {COUNTER_URI}


async def test_logs_over_http_reach_their_caller(over_http: Listening):
    async with speaking(HttpEndpoint(url=over_http.url)) as spoken:
        caller = spoken.start("log", {"level": "warning", "text": "careful", "count": 2}, log_level="info")
        await caller.outcome()
        deaf = spoken.start("log", {"level": "info"}, log_level="error")
        await deaf.outcome()

    assert [log["data"]["text"] for log in caller.logged] == ["careful", "careful"]
    assert deaf.logged == []
