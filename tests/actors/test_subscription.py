"""A subscription is opened again whenever it ends, ever more slowly, changes without a gap, and makes up for misses."""

import json
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.core import jsonrpc
from actors.core.listing import Facts
from actors.core.outcome import FailureKind
from actors.core.revisions import LATEST_MODERN, Era
from actors.transports.memory import MemoryTransport
from actors.upstream.asking import Asking
from actors.upstream.subscription import FIRST_PAUSE, LONGEST_PAUSE, METHOD, Subscription, wanted_changes
from actors.upstream.upstream import SETTLED
from tests.support.hand_timers import HandTimers
from tests.support.upstreams import Json, memory_to

CHANGES = {"toolsListChanged": True}
UPDATED = "notifications/resources/updated"
LISTS = "notifications/tools/list_changed"


def offering(**capabilities: Any) -> Facts:
    return Facts(Era.MODERN, LATEST_MODERN, capabilities=json.dumps(capabilities).encode())


class Listening:
    """A subscription to a server that is played by hand; over HTTP each stream is its own, over stdio all share one."""

    def __init__(self, transport: MemoryTransport, facts: Facts) -> None:
        self.transport = transport
        self.timers = HandTimers()
        self.notified: list[tuple[str | None, str | None]] = []
        self.settled: list[str] = []
        self.subscription = Subscription(
            Asking(transport), "git", facts, self._heard, envelope=b'{"e":1}', call_later=self.timers
        )
        transport.unsolicited = self.subscription.message
        self.subscription.begin()

    def _heard(self, message: jsonrpc.Message) -> None:
        params = json.loads(bytes(message.params) or b"{}")
        if message.method == SETTLED:
            self.settled.append(params["uri"])
            return
        self.notified.append((message.method, params.get("uri")))

    @property
    def numbers(self) -> list[int]:
        """The ids of the listen requests."""
        return [int(bytes(sent.message.id)) for sent in self.transport.requests]

    @property
    def filters(self) -> list[Json]:
        """What they asked for."""
        return [json.loads(bytes(sent.message.params))["notifications"] for sent in self.transport.requests]

    @property
    def ended(self) -> list[int]:
        """The ids of those that the server was told to end."""
        return [json.loads(bytes(sent.message.params))["requestId"] for sent in self.transport.notices]

    def say(self, method: str, number: int | None = None, **params: Any) -> None:
        """Let the server send a notification of one subscription, the latest if none is named."""
        meta = {jsonrpc.SUBSCRIPTION_ID_KEY: self.numbers[-1] if number is None else number}
        self.transport.deliver(jsonrpc.notification(method, json.dumps({"_meta": meta, **params}).encode()))

    def acknowledge(self, number: int | None = None, **honoured: Any) -> None:
        self.say("notifications/subscriptions/acknowledged", number, notifications=honoured)

    def end(self, number: int | None = None) -> None:
        """Let the server end a subscription."""
        self.transport.deliver(jsonrpc.result_response(b"%d" % (number or self.numbers[-1]), b"{}"))


@pytest.fixture
async def listening() -> Listening:
    facts = offering(tools={"listChanged": True}, resources={"subscribe": True})
    return Listening(await memory_to(lambda _: ()), facts)


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
    assert wanted_changes(offering(**capabilities)) == wanted


async def test_it_is_a_modern_request(listening: Listening):
    (request,) = listening.transport.requests

    assert request.message.method == METHOD
    assert json.loads(bytes(request.message.params)) == {"_meta": {"e": 1}, "notifications": CHANGES}
    assert dict(request.headers) == {"MCP-Protocol-Version": LATEST_MODERN, "Mcp-Method": METHOD}


async def test_what_it_hears_is_passed_on_and_its_acknowledgement_is_not(listening: Listening):
    listening.acknowledge()
    listening.say(LISTS)

    assert listening.notified == [(LISTS, None)]


async def test_one_that_ended_is_opened_again_under_another_id_and_makes_up_for_what_it_missed(listening: Listening):
    listening.acknowledge()
    first = listening.numbers[-1]

    listening.end()
    listening.timers.go_off()
    before = list(listening.notified)
    listening.acknowledge()
    listening.acknowledge()

    assert listening.numbers[-1] != first
    assert before == []
    assert listening.notified == [(LISTS, None)]


async def test_it_waits_twice_as_long_each_time_until_it_is_acknowledged(listening: Listening):
    for _ in range(8):
        listening.transport.fail(listening.numbers[-1], FailureKind.DISCONNECTED, "it broke")
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
    number = listening.numbers[-1]

    listening.subscription.close()
    listening.transport.lose("it crashed")

    assert list(listening.transport.dropped) == [number]
    assert listening.ended == [number]
    assert listening.timers.pauses == []


# --- resources ---


async def test_resources_are_followed_by_a_new_stream_that_takes_over_when_it_is_acknowledged(listening: Listening):
    listening.acknowledge()
    first = listening.numbers[-1]

    listening.subscription.follow(frozenset({"b:", "a:"}))
    before = (list(listening.ended), list(listening.settled))
    listening.say(LISTS, first)
    listening.acknowledge(resourceSubscriptions=["a:", "b:"])
    listening.say(UPDATED, first, uri="late:")
    listening.say(UPDATED, uri="a:")

    assert listening.filters == [CHANGES, {**CHANGES, "resourceSubscriptions": ["a:", "b:"]}]
    assert before == ([], [])
    assert listening.ended == [first]
    assert listening.settled == ["a:", "b:"]
    assert listening.notified == [(LISTS, None), (UPDATED, "a:")]


async def test_a_stream_that_tells_before_it_is_acknowledged_does_not_tell_twice(listening: Listening):
    listening.acknowledge()
    first = listening.numbers[-1]
    listening.subscription.follow(frozenset({"a:"}))

    listening.say(LISTS, first)
    listening.say(LISTS)

    assert listening.notified == [(LISTS, None)]


async def test_the_same_resources_again_change_nothing(listening: Listening):
    listening.subscription.follow(frozenset({"a:"}))
    listening.subscription.follow(frozenset({"a:"}))

    assert len(listening.numbers) == 2


async def test_a_server_without_subscriptions_is_not_bothered():
    listening = Listening(await memory_to(lambda _: ()), offering(resources={}))

    listening.subscription.follow(frozenset({"a:"}))

    assert listening.numbers == []


async def test_a_server_of_which_nothing_is_wanted_any_more_is_left_alone():
    listening = Listening(await memory_to(lambda _: ()), offering(resources={"subscribe": True}))
    listening.subscription.follow(frozenset({"a:"}))
    listening.acknowledge(resourceSubscriptions=["a:"])

    listening.subscription.follow(frozenset())
    listening.timers.go_off()

    assert listening.filters == [{"resourceSubscriptions": ["a:"]}]
    assert listening.ended == listening.numbers


async def test_after_a_gap_each_resource_that_the_server_honours_counts_as_updated(listening: Listening):
    listening.subscription.follow(frozenset({"a:", "b:", "c:"}))
    listening.acknowledge(resourceSubscriptions=["a:", "b:", "c:"])
    quiet = list(listening.notified)

    listening.end()
    listening.timers.go_off()
    listening.acknowledge(resourceSubscriptions=["a:", "c:"])

    assert quiet == []
    assert listening.notified == [(LISTS, None), (UPDATED, "a:"), (UPDATED, "c:")]


async def test_a_change_that_the_server_refuses_leaves_the_old_stream_as_it_was(listening: Listening):
    listening.acknowledge()
    first = listening.numbers[-1]
    listening.subscription.follow(frozenset({"a:"}))

    listening.end()
    listening.say(LISTS, first)
    listening.timers.go_off()
    listening.acknowledge(resourceSubscriptions=["a:"])

    assert listening.notified == [(LISTS, None)]
    assert listening.filters[1:] == [{**CHANGES, "resourceSubscriptions": ["a:"]}] * 2
    assert listening.ended == [first]


async def test_where_closing_the_stream_ends_it_nothing_more_is_said():
    transport = await memory_to(lambda _: (), drop_cancels=True)
    listening = Listening(transport, offering(tools={"listChanged": True}))

    listening.subscription.close()

    assert list(transport.dropped) == listening.numbers
    assert listening.ended == []


class AnyOrder(RuleBasedStateMachine):
    """A server that acknowledges, ends and tells in any order, while what is wanted changes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[int, list[str]] = {}
        self.acknowledged: set[int] = set()
        self.listening: Listening | None = None

    @rule()
    @precondition(lambda self: self.listening is None)
    def begin(self) -> None:
        transport = MemoryTransport(self._served)
        transport._refusal = None
        self.listening = Listening(transport, offering(tools={"listChanged": True}, resources={"subscribe": True}))

    def _served(self, message: jsonrpc.Message) -> list[bytes]:
        params = json.loads(bytes(message.params))
        if message.method == METHOD:
            self.open[int(bytes(message.id))] = params["notifications"].get("resourceSubscriptions", [])
        else:
            self.open.pop(params["requestId"])
        return []

    @rule(uris=st.frozensets(st.sampled_from(["a:", "b:", "c:"])))
    @precondition(lambda self: self.listening is not None)
    def follow(self, uris: frozenset[str]) -> None:
        self.listening.subscription.follow(uris)

    @rule(data=st.data())
    @precondition(lambda self: self.open)
    def acknowledge(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        self.acknowledged.add(number)
        self.listening.acknowledge(number, resourceSubscriptions=self.open[number])

    @rule(data=st.data())
    @precondition(lambda self: self.open)
    def end(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        del self.open[number]
        self.listening.end(number)

    @rule()
    @precondition(lambda self: self.listening is not None)
    def time_passes(self) -> None:
        self.listening.timers.go_off()

    @rule()
    @precondition(lambda self: self.open.keys() & self.acknowledged)
    def tell_on_every_stream(self) -> None:
        """Every stream that is acknowledged tells of the same change; it is passed on once."""
        before = len(self.listening.notified)
        for number in sorted(self.open.keys() & self.acknowledged):
            self.listening.say(LISTS, number)
        assert len(self.listening.notified) == before + 1

    @invariant()
    def there_are_never_more_than_two_streams_and_it_never_gives_up(self) -> None:
        if self.listening is not None:
            assert len(self.open) <= 2
            assert self.open or self.listening.timers.running


TestAnyOrder = AnyOrder.TestCase
