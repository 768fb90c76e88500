"""The conformance server asks clients of both eras over both transports; the official tool asks only over HTTP."""

from collections.abc import Iterator

import pytest
from mcp.server.streamable_http import EventMessage
from mcp_types import JSONRPCMessage, JSONRPCNotification

from tests.support.conformance_actions import connect
from tests.support.event_store import KEPT, BoundedEventStore
from tests.support.processes import Listening, listening
from tests.support.sdk_client import stdio, text_of

MODULE = "tests.support.conformance_server"

ANSWERED = {
    "test_sampling": "LLM response: sampled",
    "test_elicitation_sep1034_defaults": "Elicitation completed: action=accept, content=",
    "test_input_required_result_elicitation": "Hello, whoever you are!",
    "test_input_required_result_list_roots": "The client has 0 roots.",
    "test_input_required_result_multiple_inputs": "All three are known.",
    "test_input_required_result_multi_round": "{} likes {}.",
    "test_input_required_result_capabilities": "Asked 2 things.",
}
"""What the tools that ask say in the end, when a client has accepted everything without a word of its own."""


@pytest.fixture(scope="module")
def server() -> Iterator[Listening]:
    with listening(MODULE, "--http", "0") as running:
        yield running


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("way", ["http", "stdio"])
async def test_every_tool_that_asks_gets_its_answers_in_both_eras(server: Listening, way: str, mode: str) -> None:
    target = server.url if way == "http" else stdio(MODULE)
    said = {}

    async with connect(target, mode) as client:
        for tool in ANSWERED:
            arguments = {"prompt": "Say something."} if tool == "test_sampling" else {}
            said[tool] = text_of(await client.call_tool(tool, arguments))
        prompt = await client.get_prompt("test_input_required_result_prompt")

    assert {tool: text for tool, text in said.items() if not text.startswith(ANSWERED[tool])} == {}
    assert prompt.messages


async def test_the_event_store_replays_what_followed_on_the_same_stream_only() -> None:
    store = BoundedEventStore()
    replayed: list[JSONRPCMessage] = []

    async def note(event: EventMessage) -> None:
        replayed.append(event.message)

    messages = [JSONRPCNotification(jsonrpc="2.0", method=f"notifications/{number}") for number in range(3)]
    begun = await store.store_event("a", None)
    for stream, message in zip("aba", messages, strict=True):
        await store.store_event(stream, message)

    assert await store.replay_events_after(begun, note) == "a"
    assert replayed == [messages[0], messages[2]]


async def test_the_event_store_forgets_the_oldest() -> None:
    store = BoundedEventStore()

    async def note(event: EventMessage) -> None:
        raise AssertionError(event)

    oldest = await store.store_event("a", None)
    newest = [await store.store_event("a", None) for _ in range(KEPT)]

    assert await store.replay_events_after(oldest, note) is None
    assert await store.replay_events_after(newest[0], note) == "a"
