"""Calls beyond the limit wait in a bounded line for a bounded time, and each comes to exactly one end."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.bus.exchange import Exchange, ExchangeSettings
from actors.core.call import Call
from actors.core.endpoints import StdioEndpoint
from actors.core.outcome import Failure, FailureKind, Reply
from actors.core.revisions import Era
from actors.core.settings import BackendSettings
from actors.waiting_calls import WaitingCalls
from tests.support.bus import UNHURRIED, exchange_id
from tests.support.hand_clock import HandClock
from tests.support.hand_timers import HandTimers

DONE = Reply(b"{}", Era.MODERN)


class Counter:
    """A replica with a number of places, all taken at first."""

    def __init__(self, places: int = 1, **settings: Any) -> None:
        self.clock = HandClock(100.0)
        self.timers = HandTimers()
        self.places = places
        self.sent: list[tuple[Exchange, float]] = []
        self.ended: list[Exchange] = []
        self.busy = places
        self.on_send = lambda _: None
        endpoint = StdioEndpoint(command="git-mcp")
        self.waiting = WaitingCalls(
            BackendSettings(name="git", endpoint=endpoint, **settings),
            lambda: self.busy < self.places,
            self._send,
            self.clock,
            self.timers,
        )

    def _send(self, exchange: Exchange, waited: float) -> None:
        self.busy += 1
        self.sent.append((exchange, waited))
        self.on_send(exchange)

    def come(self, method: str = "tools/call", **fields: Any) -> Exchange:
        """A call arrives for which there is no room."""
        exchange = Exchange(
            exchange_id(len(self.sent)),
            Call(method, b"{}", **{"time_left": 60.0, **fields}),
            backend="git",
            settings=ExchangeSettings(),
            max_data_bytes=1000,
            ended=self.ended.append,
        )
        self.waiting.enter(exchange)
        return exchange

    def free(self) -> None:
        """A call that was sent is over, and whoever is next has been sent."""
        self.busy -= 1
        self.waiting.freed()
        self.timers.go_off(within=0.0)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.timers.go_off()


def test_who_waits_is_sent_when_there_is_room_with_the_time_that_is_gone():
    counter = Counter()
    first, second = counter.come(), counter.come()

    counter.clock.advance(2.0)
    counter.free()
    counter.clock.advance(1.5)
    counter.free()

    assert counter.sent == [(first, 2.0), (second, 3.5)]
    assert counter.timers.running == []
    assert len(counter.waiting) == 0


def test_what_is_cheap_goes_first():
    counter = Counter()
    tool, read, typing = counter.come(), counter.come("resources/read"), counter.come("completion/complete")

    for _ in range(3):
        counter.free()

    assert [exchange for exchange, _ in counter.sent] == [typing, read, tool]


def test_beyond_the_queue_limit_a_call_is_refused_at_once_with_a_time_to_come_back():
    counter = Counter(queue_limit=2)
    waiting = [counter.come(), counter.come()]

    refused = counter.come()

    assert refused.outcome == Failure(FailureKind.BUSY, "git", retry_after=1.0)
    assert not any(exchange.done for exchange in waiting)


def test_the_time_to_come_back_is_what_the_line_will_take_at_the_pace_of_late():
    counter = Counter(queue_limit=4)
    for _ in range(4):
        counter.come()
    for _ in range(3):
        counter.clock.advance(4.0)
        counter.free()
        counter.come()

    refused = counter.come()

    assert refused.outcome.retry_after == 5 * 4.0


def test_a_full_line_lets_the_newest_of_the_most_expensive_go_for_a_cheaper_call():
    counter = Counter(queue_limit=2)
    older, newer = counter.come(), counter.come()

    read = counter.come("resources/read")

    assert newer.outcome.kind is FailureKind.BUSY
    assert not older.done
    assert not read.done
    assert newer.on_cancel is None


def test_nobody_waits_longer_than_the_queue_allows():
    counter = Counter(queue_seconds=5.0)
    counter.come()
    counter.clock.advance(2.0)
    later = counter.come()

    counter.pass_time(3.0)

    (expired,) = counter.ended
    assert expired.outcome.kind is FailureKind.BUSY
    assert expired.outcome.retry_after >= 1.0
    assert not later.done
    assert counter.timers.running == [2.0]


def test_nobody_waits_longer_than_his_caller():
    counter = Counter(queue_seconds=5.0)
    patient = counter.come()
    hurried = counter.come(time_left=0.5)
    timers = counter.timers.running

    counter.pass_time(0.5)

    assert timers == [0.5]
    assert hurried.outcome.kind is FailureKind.BUSY
    assert not patient.done


def test_one_timer_is_set_for_all_who_wait():
    counter = Counter()

    for _ in range(20):
        counter.come()
        counter.clock.advance(0.01)

    assert counter.timers.running == [5.0]


def test_who_is_cancelled_while_he_waits_is_never_sent():
    counter = Counter()
    gone, stays = counter.come(), counter.come()

    gone.cancel("no longer wanted")
    counter.free()

    assert gone.outcome == Failure(FailureKind.CANCELLED, "git", "no longer wanted")
    assert [exchange for exchange, _ in counter.sent] == [stays]


@pytest.mark.parametrize("fields", [{"origin": b"mine"}, {"session": b"mine"}])
def test_those_of_one_request_or_session_leave_together(fields: dict[str, bytes]):
    counter = Counter()
    mine = [counter.come(**fields), counter.come(**fields)]
    others = [counter.come(origin=b"theirs"), counter.come()]

    counter.waiting.cancelled_origin(b"mine")

    assert [exchange.outcome.kind for exchange in mine] == [FailureKind.CANCELLED] * 2
    assert not any(exchange.done for exchange in others)
    assert len(counter.waiting) == 2


def test_all_can_be_refused_and_then_no_timer_runs():
    counter = Counter()
    all_of_them = [counter.come(), counter.come("resources/read")]
    refusal = Failure(FailureKind.UNAVAILABLE, "git", "it is stopping")

    counter.waiting.refuse(refusal)

    assert [exchange.outcome for exchange in all_of_them] == [refusal] * 2
    assert counter.timers.running == []


def test_ten_thousand_who_are_refused_as_they_are_sent_end_without_recursion():
    counter = Counter(queue_limit=10_000)
    all_of_them = [counter.come() for _ in range(10_000)]

    def refused(exchange: Exchange) -> None:
        counter.busy -= 1
        exchange.finish(Failure(FailureKind.BREAKER_OPEN, "git"))
        counter.waiting.freed()

    counter.on_send = refused
    counter.free()

    assert all(exchange.done for exchange in all_of_them)


class Story:
    """A random story of a counter."""

    def __init__(self, places: int, queue_limit: int) -> None:
        self.counter = Counter(places, queue_limit=queue_limit, queue_seconds=3.0)
        self.queue_limit = queue_limit
        self.came: list[tuple[Exchange, float]] = []

    def step(self, kind: str, pick: int) -> None:
        counter = self.counter
        waiting = [exchange for exchange, _ in self.came if not exchange.done and exchange not in self.under_way()]
        if kind == "come":
            method = ("tools/call", "resources/read", "completion/complete")[pick % 3]
            self.came.append((counter.come(method, time_left=1.0 + pick % 4), counter.clock()))
        elif kind == "free" and counter.busy:
            under_way = [exchange for exchange in self.under_way() if not exchange.done]
            if under_way:
                under_way[pick % len(under_way)].finish(DONE)
            counter.free()
        elif kind == "cancel" and waiting:
            waiting[pick % len(waiting)].cancel("gone")
        elif kind == "time":
            counter.pass_time(0.5 * (pick % 4))

    def under_way(self) -> list[Exchange]:
        return [exchange for exchange, _ in self.counter.sent]


@UNHURRIED
@given(
    places=st.integers(1, 3),
    queue_limit=st.integers(0, 4),
    steps=st.lists(st.tuples(st.sampled_from(["come", "come", "free", "cancel", "time"]), st.integers(0, 11))),
)
def test_every_call_is_sent_or_refused_exactly_once_whatever_happens(places, queue_limit, steps):
    story = Story(places, queue_limit)
    counter = story.counter

    for kind, pick in steps:
        story.step(kind, pick)
        sent = story.under_way()
        assert len(set(map(id, sent))) == len(sent)
        assert counter.busy <= places
        assert len(counter.waiting) <= queue_limit
        waiting = [each for each in story.came if not each[0].done and each[0] not in sent]
        assert len(waiting) == len(counter.waiting)
        assert all(counter.clock() - since <= min(3.0, each.call.time_left) for each, since in waiting)
    counter.pass_time(4.0)

    assert len(counter.waiting) == 0
    assert all(exchange.done or exchange in story.under_way() for exchange, _ in story.came)
    assert counter.timers.running == []
