"""A running call ends once, whatever happens in which order, and tells the breaker the truth about the server."""

import gc
import weakref
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.frames import EventKind
from actors.core.breaker import Breaker, State
from actors.core.call import Call
from actors.core.outcome import Failure, FailureKind, Outcome, Reply
from actors.core.revisions import Era
from actors.core.settings import BreakerSettings
from actors.running_call import SPEAKS_WELL, RunningCall
from actors.upstream.upstream import Listener
from tests.support.bus import UNHURRIED, KeepingOutlet, exchange_id, until
from tests.support.hand_clock import HandClock
from tests.support.upstreams import tool_call

ANSWER = Reply(b"{}", Era.MODERN)
TOOL_ERROR = Reply(b'{"code":-32602,"message":"no"}', Era.MODERN, is_error=True)
BROKEN = Failure(FailureKind.PROTOCOL, "git")


class HandUpstream:
    """An adapter whose calls end by hand, or at once with `outcome`."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.started: list[Call] = []
        self.cancelled: list[tuple[int, str]] = []
        self._outcome = outcome
        self._numbers = count(1)

    def start(self, call: Call, listener: Listener) -> int:
        self.started.append(call)
        if self._outcome is not None:
            listener.finished(self._outcome)
        return next(self._numbers)

    def cancel(self, number: int, reason: str) -> None:
        self.cancelled.append((number, reason))


class Stage:
    """Calls that share a breaker."""

    def __init__(self, **breaker: float) -> None:
        self.clock = HandClock()
        self.breaker = Breaker(BreakerSettings(**breaker))
        self.upstream = HandUpstream()
        self.running: list[RunningCall] = []
        self.in_flight_at_the_end: list[int] = []
        self.outlet = KeepingOutlet()
        self._ids = count(1)

    def start(self, limit: float = 60.0, upstream: HandUpstream | None = None) -> tuple[RunningCall, Exchange]:
        """Admit a call and send it."""
        permit = self.breaker.admit(self.clock())
        assert permit is not None
        exchange = Exchange(
            exchange_id(next(self._ids)),
            tool_call(origin=b"o"),
            backend="git",
            settings=ExchangeSettings(),
            max_data_bytes=1 << 20,
            ended=lambda _: self.in_flight_at_the_end.append(len(self.running)),
        )
        exchange.attach(self.outlet, 1, after=0)
        call = RunningCall(exchange, "git", self.running.remove, self.breaker, permit, self.clock)
        self.running.append(call)
        call.start(upstream or self.upstream, limit)
        return call, exchange

    def finish(self, outcome: Outcome) -> None:
        """Run a call to this outcome."""
        self.start()[0].finished(outcome)


async def test_the_outcome_reaches_the_exchange_and_no_longer_counts_as_load():
    stage = Stage()
    call, exchange = stage.start()

    call.finished(ANSWER)

    assert exchange.outcome == ANSWER
    assert stage.in_flight_at_the_end == [0]


async def test_an_outcome_that_is_there_at_once_is_no_different():
    stage = Stage()

    _, exchange = stage.start(upstream=HandUpstream(ANSWER))

    assert exchange.outcome == ANSWER
    assert stage.running == []


async def test_progress_and_logs_become_events_in_order():
    stage = Stage()
    call, _ = stage.start()

    call.progress(b'{"progress":1}')
    call.log(b'{"level":"info"}')
    call.finished(ANSWER)

    events = [(event.kind, event.data) for event in stage.outlet.events]
    assert events == [(EventKind.PROGRESS, b'{"progress":1}'), (EventKind.LOG, b'{"level":"info"}')]


async def test_a_call_that_takes_too_long_is_given_up_and_the_server_is_told():
    stage = Stage(failure_threshold=1)
    call, exchange = stage.start(limit=0.01)

    await until(lambda: exchange.done)
    call.finished(ANSWER)

    assert exchange.outcome == Failure(FailureKind.TIMEOUT, "git", "after 0.01 s")
    assert stage.upstream.cancelled == [(1, "timeout")]
    assert stage.breaker.state is State.OPEN


async def test_a_cancelled_call_is_told_to_the_server_once():
    stage = Stage()
    call, exchange = stage.start()

    exchange.cancel("no longer wanted")
    call.cancel("again")
    call.finished(ANSWER)

    assert stage.upstream.cancelled == [(1, "no longer wanted")]
    assert exchange.outcome == Failure(FailureKind.CANCELLED, "git", "no longer wanted")


async def test_a_finished_call_can_neither_be_cancelled_nor_time_out():
    stage = Stage()
    call, _ = stage.start(limit=0.0)

    call.finished(ANSWER)
    call.cancel("late")
    other, exchange = stage.start(limit=0.0)
    await until(lambda: exchange.done)

    assert stage.upstream.cancelled == [(2, "timeout")]
    assert other not in stage.running


async def test_a_finished_call_is_let_go_of_long_before_its_limit():
    stage = Stage()
    call, exchange = stage.start(limit=3600.0)
    finished = weakref.ref(exchange)
    call.finished(ANSWER)

    stage.outlet, stage.upstream = KeepingOutlet(), HandUpstream()
    del call, exchange
    gc.collect()

    assert finished() is None


@UNHURRIED
@given(st.lists(st.sampled_from(["reply", "error", "failure", "cancel", "progress"]), min_size=1, max_size=8))
async def test_a_call_always_ends_once_with_what_came_first(events: list[str]):
    stage = Stage(failure_threshold=1000)
    call, exchange = stage.start()
    endings = {
        "reply": ANSWER,
        "error": TOOL_ERROR,
        "failure": BROKEN,
        "cancel": Failure(FailureKind.CANCELLED, "git", "unwanted"),
    }

    for event in events:
        if event == "progress":
            call.progress(b"{}")
        elif event == "cancel":
            call.cancel("unwanted")
        else:
            call.finished(endings[event])

    first = next((event for event in events if event != "progress"), None)
    assert exchange.outcome == (endings[first] if first else None)
    assert stage.in_flight_at_the_end == ([0] if first else [])
    assert len(stage.upstream.cancelled) == (first == "cancel")


def test_every_failure_has_a_verdict():
    assert SPEAKS_WELL.keys() == set(FailureKind)


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (ANSWER, "success"),
        (TOOL_ERROR, "success"),
        (Failure(FailureKind.UNAVAILABLE, "git"), "failure"),
        (Failure(FailureKind.TIMEOUT, "git"), "failure"),
        (Failure(FailureKind.DISCONNECTED, "git"), "failure"),
        (Failure(FailureKind.TOO_LARGE, "git"), "failure"),
        (Failure(FailureKind.PROTOCOL, "git"), "failure"),
        (Failure(FailureKind.CANCELLED, "git"), "nothing"),
        (Failure(FailureKind.BUSY, "git"), "nothing"),
        (Failure(FailureKind.UNSUPPORTED, "git"), "nothing"),
        (Failure(FailureKind.BREAKER_OPEN, "git"), "nothing"),
    ],
)
async def test_the_breaker_hears_what_an_outcome_says_of_the_server(outcome: Outcome, verdict: str):
    stage = Stage(failure_threshold=2)

    stage.finish(BROKEN)
    stage.finish(outcome)
    after_two = stage.breaker.state
    if after_two is State.CLOSED:
        stage.finish(BROKEN)

    states = {"failure": (State.OPEN, State.OPEN), "nothing": (State.CLOSED, State.OPEN)}
    assert (after_two, stage.breaker.state) == states.get(verdict, (State.CLOSED, State.CLOSED))


async def test_a_cancelled_probe_makes_room_for_another_and_decides_nothing():
    stage = Stage(failure_threshold=1, open_seconds=30.0, probe_limit=1)
    stage.finish(BROKEN)
    stage.clock.advance(30.0)
    probe, _ = stage.start()
    full = stage.breaker.admit(stage.clock())

    probe.cancel("no longer wanted")

    assert full is None
    assert stage.breaker.state is State.HALF_OPEN
    assert stage.breaker.admit(stage.clock()) is not None
