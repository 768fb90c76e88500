"""A subscription is opened again whenever it ends, ever more slowly, and what was missed is made up for."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from actors.core import jsonrpc
from actors.core.outcome import FailureKind
from actors.core.revisions import LATEST_MODERN
from actors.transports.memory import MemoryTransport
from actors.upstream.asking import Asking
from actors.upstream.subscription import FIRST_PAUSE, LONGEST_PAUSE, Subscription, wanted_changes
from tests.support.upstreams import memory_to


class HandTimers:
    """Timers that go off by hand."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._handles: list[asyncio.TimerHandle] = []

    def __call__(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        self.pauses.append(seconds)
        self._handles.append(asyncio.TimerHandle(0.0, callback, (), loop))
        return self._handles[-1]

    def go_off(self) -> None:
        """Run what waits and was not cancelled."""
        handles, self._handles = self._handles, []
        for handle in handles:
            if not handle.cancelled():
                handle._run()


class Listening:
    """An open subscription."""

    def __init__(self, transport: MemoryTransport) -> None:
        self.transport = transport
        self.timers = HandTimers()
        self.notified: list[str | None] = []
        self.subscription = Subscription(
            Asking(transport),
            "git",
            b'{"notifications":{}}',
            lambda message: self.notified.append(message.method),
            call_later=self.timers,
        )
        self.subscription.open()

    @property
    def number(self) -> int:
        """The id of the latest listen request."""
        return int(bytes(self.transport.requests[-1].message.id))

    def say(self, method: str) -> None:
        """Let the server send a notification on the stream of the subscription."""
        self.subscription.message(jsonrpc.decode_message(jsonrpc.notification(method)))

    def acknowledge(self) -> None:
        self.say("notifications/subscriptions/acknowledged")

    def end(self) -> None:
        """Let the server end the subscription."""
        self.transport.deliver(jsonrpc.result_response(b"%d" % self.number, b"{}"))


@pytest.fixture
async def listening() -> Listening:
    return Listening(await memory_to(lambda _: ()))


@pytest.mark.parametrize(
    ("capabilities", "wanted"),
    [
        ({}, {}),
        ({"tools": {}, "prompts": {"listChanged": False}}, {}),
        ({"tools": None, "prompts": "x", "resources": []}, {}),
        (
            {"tools": {"listChanged": True}, "resources": {"listChanged": True}, "prompts": {"listChanged": True}},
            {"toolsListChanged": True, "resourcesListChanged": True, "promptsListChanged": True},
        ),
    ],
)
def test_only_what_the_server_offers_is_asked_for(capabilities: dict[str, Any], wanted: dict[str, bool]):
    assert wanted_changes(capabilities) == wanted


async def test_it_is_a_modern_request(listening: Listening):
    (request,) = listening.transport.requests

    assert request.message.method == "subscriptions/listen"
    assert dict(request.headers) == {"MCP-Protocol-Version": LATEST_MODERN, "Mcp-Method": "subscriptions/listen"}


async def test_what_it_hears_is_passed_on_and_its_acknowledgement_is_not(listening: Listening):
    listening.acknowledge()
    listening.say("notifications/tools/list_changed")

    assert listening.notified == ["notifications/tools/list_changed"]


async def test_one_that_ended_is_opened_again_under_another_id_and_makes_up_for_what_it_missed(listening: Listening):
    listening.acknowledge()
    first = listening.number

    listening.end()
    listening.timers.go_off()
    before = list(listening.notified)
    listening.acknowledge()
    listening.acknowledge()

    assert listening.number != first
    assert before == []
    assert listening.notified == ["notifications/tools/list_changed"]


async def test_it_waits_twice_as_long_each_time_until_it_is_acknowledged(listening: Listening):
    for _ in range(8):
        listening.transport.fail(listening.number, FailureKind.DISCONNECTED, "it broke")
        listening.timers.go_off()
    listening.acknowledge()
    listening.end()

    assert listening.timers.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_PAUSE, LONGEST_PAUSE, FIRST_PAUSE]


async def test_a_closed_one_is_not_opened_again(listening: Listening):
    listening.end()

    listening.subscription.close()
    listening.timers.go_off()

    assert len(listening.transport.requests) == 1


async def test_closing_drops_the_request_and_what_comes_later_is_not_heard(listening: Listening):
    number = listening.number

    listening.subscription.close()
    listening.transport.lose("it crashed")

    assert list(listening.transport.dropped) == [number]
    assert listening.timers.pauses == []
