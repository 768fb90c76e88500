"""A running call ends once, whatever happens in which order, and tells the breaker the truth about the server."""

import gc
import json
import weakref
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.frames import EventKind
from actors.call_limit import LEAST_SECONDS
from actors.core.breaker import Breaker, State
from actors.core.call import Call
from actors.core.outcome import Failure, FailureKind, Outcome, Reply
from actors.core.revisions import Era
from actors.core.traffic_settings import BreakerSettings
from actors.running_call import MAX_ASKS, SPEAKS_WELL, RunningCall
from actors.upstream.upstream import Listener
from tests.support.bus import UNHURRIED, KeepingOutlet, exchange_id, until
from tests.support.hand_clock import HandClock
from tests.support.hand_timers import HandTimers
from tests.support.upstreams import tool_call

ANSWER = Reply(b"{}", Era.MODERN)
TOOL_ERROR = Reply(b'{"code":-32602,"message":"no"}', Era.MODERN, is_error=True)
BROKEN = Failure(FailureKind.PROTOCOL, "git")
PARK = 300.0


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

    def __init__(
        self, *, call_later: HandTimers | None = None, anew: float | None = None, most: float = 3600.0, **breaker: float
    ) -> None:
        self.anew = anew
        self.most = most
        self.clock = HandClock()
        self.call_later = call_later
        self.may_park = True
        self.breaker = Breaker(BreakerSettings(**breaker))
        self.upstream = HandUpstream()
        self.running: list[RunningCall] = []
        self.in_flight_at_the_end: list[int] = []
        self.outlet = KeepingOutlet()
        self._ids = count(1)

    def admit(self) -> tuple[RunningCall, Exchange]:
        """Admit a call."""
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
        call = RunningCall(
            exchange,
            "git",
            self.running.remove,
            self.breaker,
            permit,
            self.clock,
            park_seconds=PARK,
            may_park=lambda: self.may_park,
            anew=self.anew,
            most=self.most,
            call_later=self.call_later,
        )
        self.running.append(call)
        return call, exchange

    def start(self, limit: float = 60.0, upstream: HandUpstream | None = None) -> tuple[RunningCall, Exchange]:
        """Admit a call and send it."""
        call, exchange = self.admit()
        call.start(upstream or self.upstream, limit)
        return call, exchange

    @property
    def asked(self) -> list[bytes]:
        """The questions that reached the reader."""
        return [event.data for event in self.outlet.events if event.kind is EventKind.ASK]

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


async def test_a_call_that_reports_progress_gets_its_time_anew_within_the_cap():
    stage = Stage(call_later=HandTimers(), anew=60.0, most=100.0)
    call, exchange = stage.start(limit=60.0)

    stage.clock.advance(50.0)
    call.progress(b'{"progress":1}')
    stage.clock.advance(10.0)
    stage.call_later.go_off()
    still_runs = not exchange.done
    stage.clock.advance(40.0)
    call.progress(b'{"progress":2}')
    stage.call_later.go_off()

    assert still_runs
    assert stage.call_later.pauses == [60.0, 40.0]
    assert exchange.outcome == Failure(FailureKind.TIMEOUT, "git", "after 100 s in all")
    assert stage.upstream.cancelled == [(1, "timeout")]


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


# --- it waits for its conversation ---


async def test_a_call_that_waits_for_its_conversation_can_be_cancelled_and_is_then_never_sent():
    stage = Stage()
    call, exchange = stage.admit()
    call.wait(60.0)

    exchange.cancel("no longer wanted")
    call.start(stage.upstream, 60.0)

    assert exchange.outcome == Failure(FailureKind.CANCELLED, "git", "no longer wanted")
    assert stage.upstream.started == stage.upstream.cancelled == []


async def test_waiting_is_part_of_the_time_a_call_may_take():
    stage = Stage(call_later=HandTimers())
    call, exchange = stage.admit()
    call.wait(10.0)

    call.start(stage.upstream, 60.0)
    stage.call_later.go_off()

    assert stage.call_later.pauses == [10.0]
    assert exchange.outcome == Failure(FailureKind.TIMEOUT, "git", "after 10 s")
    assert stage.upstream.cancelled == [(1, "timeout")]


# --- the server asks the client ---


class Asked:
    """A running call whose server asks."""

    def __init__(self, limit: float = 60.0) -> None:
        self.timers = HandTimers()
        self.stage = Stage(call_later=self.timers, failure_threshold=1)
        self.call, self.exchange = self.stage.start(limit)
        self.answers: list[bytes] = []

    def ask(self) -> int | None:
        return self.call.ask(b'{"method":"roots/list"}', self.answers.append)


async def test_a_question_becomes_an_event_and_its_answer_comes_back_once():
    asked = Asked()

    number = asked.ask()
    asked.exchange.answer(number, b'{"result":{}}')
    asked.exchange.answer(number, b'{"result":{"again":1}}')

    assert asked.stage.asked == [b'{"method":"roots/list"}']
    assert asked.answers == [b'{"result":{}}']


async def test_a_parked_calls_own_time_stands_still_until_the_last_answer():
    asked = Asked(limit=60.0)
    asked.stage.clock.advance(20.0)

    first = asked.ask()
    parked = asked.call.parked
    asked.stage.clock.advance(30.0)
    second = asked.ask()
    asked.stage.clock.advance(1000.0)
    asked.exchange.answer(first, b"{}")
    asked.stage.clock.advance(1000.0)
    before = asked.timers.running
    asked.exchange.answer(second, b"{}")

    assert parked
    assert before == [PARK]
    assert not asked.call.parked
    assert asked.timers.running == [40.0]


async def test_time_goes_on_where_it_stood_each_time():
    asked = Asked(limit=60.0)

    for _ in range(3):
        asked.stage.clock.advance(10.0)
        number = asked.ask()
        asked.stage.clock.advance(1000.0)
        asked.exchange.answer(number, b"{}")

    assert asked.timers.running == [30.0]


async def test_after_an_answer_in_the_last_moment_there_is_still_a_little_time():
    asked = Asked(limit=60.0)
    asked.stage.clock.advance(59.9)

    asked.exchange.answer(asked.ask(), b"{}")

    assert asked.timers.running == [LEAST_SECONDS]


async def test_a_question_that_nobody_answers_ends_the_call_and_does_not_speak_against_the_server():
    asked = Asked()
    asked.ask()

    asked.timers.go_off()

    detail = "nobody answered the server's question within 300 s"
    assert asked.exchange.outcome == Failure(FailureKind.TIMEOUT, "git", detail)
    assert asked.stage.upstream.cancelled == [(1, "nobody answered")]
    assert [json.loads(answer)["error"]["message"] for answer in asked.answers] == [detail]
    assert asked.stage.breaker.state is State.CLOSED
    assert asked.timers.running == []


async def test_a_withdrawn_question_is_not_open_any_more_and_the_time_goes_on():
    asked = Asked(limit=60.0)
    number = asked.ask()

    asked.call.withdraw(number)
    asked.call.withdraw(number)
    still_open = asked.exchange.open_asks
    asked.exchange.answer(number, b"{}")

    told = [event.data for event in asked.stage.outlet.events if event.kind is EventKind.WITHDRAWN]
    assert told == [b"%d" % number]
    assert asked.answers == []
    assert still_open == 0
    assert not asked.call.parked
    assert asked.timers.running == [60.0]


async def test_a_call_that_is_over_neither_asks_nor_hears_answers():
    asked = Asked()
    number = asked.ask()

    asked.call.finished(ANSWER)
    asked.exchange.answer(number, b"{}")

    assert asked.ask() is None
    assert asked.answers == []
    assert not asked.call.parked
    assert asked.timers.running == []


async def test_a_cancelled_call_drops_its_questions():
    asked = Asked()
    asked.ask()

    asked.exchange.cancel("no longer wanted")

    assert asked.answers == []
    assert asked.exchange.outcome == Failure(FailureKind.CANCELLED, "git", "no longer wanted")


async def test_a_question_is_refused_when_too_many_calls_are_parked_but_not_a_parked_calls_own():
    asked = Asked()
    asked.stage.may_park = False
    refused = asked.ask()
    asked.stage.may_park = True
    taken = asked.ask()
    asked.stage.may_park = False

    assert refused is None
    assert taken is not None
    assert asked.ask() is not None


async def test_a_question_that_the_exchange_does_not_take_is_refused_and_parks_nothing():
    asked = Asked()

    number = asked.call.ask(b"x" * (2 << 20), asked.answers.append)

    assert number is None
    assert not asked.call.parked
    assert asked.timers.running == [60.0]


async def test_a_call_does_not_ask_for_ever():
    asked = Asked()

    for _ in range(MAX_ASKS):
        asked.exchange.answer(asked.ask(), b"{}")

    assert asked.ask() is None
    assert len(asked.answers) == MAX_ASKS


@UNHURRIED
@given(st.lists(st.sampled_from(["ask", "answer", "withdraw", "timer", "cancel", "finish"]), max_size=20))
async def test_a_call_that_asks_always_has_one_timer_and_ends_once(events: list[str]):
    asked = Asked()
    open_asks: list[int] = []

    for event in events:
        running = not asked.exchange.done
        match event:
            case "ask":
                number = asked.ask()
                open_asks += [] if number is None else [number]
            case "answer" if open_asks:
                asked.exchange.answer(open_asks.pop(0), b"{}")
            case "withdraw" if open_asks:
                asked.call.withdraw(open_asks.pop())
            case "timer":
                asked.timers.go_off()
            case "cancel":
                asked.exchange.cancel("unwanted")
            case "finish":
                asked.call.finished(ANSWER)
        if asked.exchange.done:
            open_asks.clear()
        assert asked.call.parked == bool(open_asks)
        assert len(asked.timers.running) == (not asked.exchange.done)
        assert running or asked.exchange.done

    assert asked.stage.in_flight_at_the_end == [0] * asked.exchange.done
