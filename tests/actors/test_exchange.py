"""An exchange outlives its links: nothing that was accepted is lost, nothing is unbounded, nothing happens twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.frames import WINDOW, Event, EventKind
from actors.core.outcome import Failure, FailureKind
from tests.support.bus import CALL, UNHURRIED, KeepingOutlet, exchange_id, reply

MIB = 1024 * 1024
PROGRESS, ASK = EventKind.PROGRESS, EventKind.ASK


def make_exchange(*, max_data_bytes: int = 4 * MIB, **limits: int) -> Exchange:
    return Exchange(
        exchange_id(1),
        CALL,
        backend="git",
        settings=ExchangeSettings(**limits),
        max_data_bytes=max_data_bytes,
        ended=lambda _: None,
    )


def test_events_are_numbered_from_one_and_precede_the_outcome():
    exchange, outlet = make_exchange(), KeepingOutlet()
    exchange.attach(outlet, 7, after=0)

    exchange.emit(PROGRESS, b"a")
    exchange.emit(EventKind.LOG, b"b")
    exchange.finish(reply("c"))

    assert outlet.events == [Event(7, 1, PROGRESS, b"a"), Event(7, 2, EventKind.LOG, b"b")]
    assert outlet.outcomes == [(7, reply("c"))]


def test_only_the_first_outcome_counts():
    exchange, outlet = make_exchange(), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)

    exchange.finish(reply("first"))
    exchange.finish(reply("second"))

    assert outlet.outcomes == [(1, reply("first"))]
    assert exchange.outcome == reply("first")


def test_nothing_is_taken_after_the_outcome():
    exchange, outlet = make_exchange(), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)
    exchange.finish(reply("done"))

    assert not exchange.emit(ASK, b"late")
    assert outlet.events == []


def test_a_reader_is_sent_one_window_until_it_grants_more():
    exchange, outlet = make_exchange(), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)

    for _ in range(2 * WINDOW):
        exchange.emit(PROGRESS, b"{}")
    sent_before = len(outlet.events)
    exchange.grant(10)

    assert sent_before == WINDOW
    assert len(outlet.events) == WINDOW + 10


def test_large_events_use_up_the_window_sooner():
    exchange, outlet = make_exchange(max_unread_bytes=64 * MIB), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)

    for _ in range(5):
        exchange.emit(PROGRESS, b"x" * (MIB // 2))

    assert len(outlet.events) == 2


def test_an_event_larger_than_the_window_passes_alone():
    exchange, outlet = make_exchange(), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)

    assert exchange.emit(PROGRESS, b"x" * 2 * MIB)

    assert len(outlet.events) == 1


def test_the_outcome_waits_for_the_events_before_it():
    exchange, outlet = make_exchange(), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)
    for _ in range(WINDOW + 1):
        exchange.emit(PROGRESS, b"{}")
    exchange.finish(reply("done"))
    before = list(outlet.outcomes)

    exchange.grant(1)

    assert before == []
    assert outlet.outcomes == [(1, reply("done"))]
    assert [event.seq for event in outlet.events] == list(range(1, WINDOW + 2))


def test_a_full_backlog_refuses_progress_and_still_takes_questions():
    exchange = make_exchange(max_unread_events=3)

    taken = [exchange.emit(PROGRESS, b"{}") for _ in range(5)]

    assert taken == [True, True, True, False, False]
    assert exchange.emit(ASK, b"?")
    assert exchange.last_seq == 4


def test_a_backlog_is_full_by_bytes_too():
    exchange = make_exchange(max_unread_bytes=100)

    assert exchange.emit(PROGRESS, b"x" * 150)
    assert not exchange.emit(PROGRESS, b"x")


def test_a_backlog_has_room_again_when_it_was_read():
    exchange, outlet = make_exchange(max_unread_events=3), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)
    for _ in range(3):
        exchange.emit(PROGRESS, b"{}")

    exchange.grant(2)

    assert [exchange.emit(PROGRESS, b"{}") for _ in range(3)] == [True, True, False]


def test_questions_without_an_answer_are_bounded():
    exchange = make_exchange(max_open_asks=2)
    exchange.on_answer = lambda _ask, _value: None
    exchange.emit(ASK, b"1")
    exchange.emit(ASK, b"2")

    refused = exchange.emit(ASK, b"3")
    exchange.answer(1, b"yes")

    assert not refused
    assert exchange.emit(ASK, b"3")


def test_an_event_that_fits_no_frame_is_refused_and_an_outcome_becomes_a_failure():
    exchange, outlet = make_exchange(max_data_bytes=10), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)

    assert not exchange.emit(ASK, b"x" * 11)
    exchange.finish(reply("x" * 11))

    [(_, outcome)] = outlet.outcomes
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.backend) == (FailureKind.TOO_LARGE, "git")


def test_a_question_is_answered_once_whoever_answers_it_again():
    exchange, answers = make_exchange(), []
    exchange.on_answer = lambda ask, value: answers.append((ask, value))
    exchange.emit(ASK, b"?")

    exchange.answer(1, b"first")
    exchange.answer(1, b"second")
    exchange.answer(99, b"to nothing")

    assert answers == [(1, b"first")]


def test_a_progress_event_cannot_be_answered():
    exchange, answers = make_exchange(), []
    exchange.on_answer = lambda ask, value: answers.append((ask, value))
    exchange.emit(PROGRESS, b"{}")

    exchange.answer(1, b"yes")

    assert answers == []


def test_a_cancellation_is_heard_once_and_not_after_the_outcome():
    running, finished, reasons = make_exchange(), make_exchange(), []
    running.on_cancel = finished.on_cancel = reasons.append

    running.cancel("the client left")
    running.cancel("again")
    finished.finish(reply("done"))
    finished.cancel("too late")

    assert reasons == ["the client left"]
    assert (running.cancelled, finished.cancelled) == ("the client left", None)


def test_callbacks_are_let_go_of_with_the_outcome():
    exchange = make_exchange()
    exchange.on_cancel = print
    exchange.on_answer = print

    exchange.finish(reply("done"))

    assert exchange.on_cancel is None
    assert exchange.on_answer is None


def test_an_exchange_goes_on_without_a_reader_and_is_read_from_where_the_last_one_stopped():
    exchange, first, second = make_exchange(), KeepingOutlet(), KeepingOutlet()
    exchange.attach(first, 1, after=0)
    exchange.emit(PROGRESS, b"1")
    exchange.detach()
    exchange.emit(PROGRESS, b"2")
    exchange.finish(reply("done"))

    exchange.attach(second, 9, after=1).pump()

    assert second.events == [Event(9, 2, PROGRESS, b"2")]
    assert second.outcomes == [(9, reply("done"))]
    assert first.outcomes == []


def test_events_already_read_can_be_read_again_within_bounds():
    exchange, outlet, late = make_exchange(max_read_events=3), KeepingOutlet(), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)
    for _ in range(10):
        exchange.emit(PROGRESS, b"{}")
    exchange.grant(10)

    exchange.attach(late, 2, after=0).pump()

    assert [event.seq for event in late.events] == [8, 9, 10]


def test_a_question_without_an_answer_is_kept_though_it_was_read_long_ago():
    exchange, outlet, late = make_exchange(max_read_events=1), KeepingOutlet(), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)
    exchange.emit(ASK, b"?")
    for _ in range(5):
        exchange.emit(PROGRESS, b"{}")
    exchange.grant(6)

    exchange.attach(late, 2, after=0).pump()

    assert [(event.seq, event.kind) for event in late.events] == [(1, ASK), (6, PROGRESS)]


def test_the_latest_reader_wins_and_the_former_is_told():
    exchange, first, second = make_exchange(), KeepingOutlet(), KeepingOutlet()
    exchange.attach(first, 1, after=0)

    exchange.attach(second, 2, after=0)
    exchange.emit(PROGRESS, b"{}")

    [(number, outcome)] = first.outcomes
    assert isinstance(outcome, Failure)
    assert (number, outcome.kind) == (1, FailureKind.SUPERSEDED)
    assert first.forgotten == [1]
    assert first.events == []
    assert len(second.events) == 1


def test_a_full_link_is_waited_for_and_nothing_is_lost():
    exchange, outlet = make_exchange(), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)
    outlet.writable = False
    exchange.emit(PROGRESS, b"{}")
    exchange.finish(reply("done"))
    before = (list(outlet.events), list(outlet.outcomes))

    outlet.drain()

    assert before == ([], [])
    assert len(outlet.events) == 1
    assert outlet.outcomes == [(1, reply("done"))]


def test_an_evicted_exchange_tells_a_reader_who_was_too_slow():
    exchange, outlet = make_exchange(), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)
    for _ in range(WINDOW + 1):
        exchange.emit(PROGRESS, b"{}")
    exchange.finish(reply("done"))

    exchange.evict()
    exchange.grant(WINDOW)

    [(_, outcome)] = outlet.outcomes
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.DISCONNECTED
    assert len(outlet.events) == WINDOW


class Story:
    """An exchange and its readers, each of which reads for a while, loses its link, and is followed by another."""

    def __init__(self) -> None:
        self.exchange = make_exchange(max_unread_events=100, max_read_events=5)
        self.accepted: list[int] = []
        self.read: list[int] = []
        self.attach()

    def attach(self) -> None:
        self.outlet = KeepingOutlet()
        self.taken = 0
        self.exchange.attach(self.outlet, 1, after=self.read[-1] if self.read else 0).pump()

    def emit(self, size: int) -> None:
        if self.exchange.emit(PROGRESS, b"x" * size):
            self.accepted.append(self.exchange.last_seq)

    def take(self, count: int) -> None:
        new = self.outlet.events[self.taken : self.taken + count]
        self.taken += len(new)
        self.read += [event.seq for event in new]

    def grant(self) -> None:
        if self.read:
            self.exchange.grant(self.read[-1])

    def lose_the_link(self) -> None:
        self.exchange.detach()

    def fill_the_link(self) -> None:
        self.outlet.writable = False

    def drain_the_link(self) -> None:
        self.outlet.drain()


steps = st.one_of(
    st.tuples(st.just("emit"), st.sampled_from([0, 10, 20_000, 600_000])),
    st.tuples(st.just("take"), st.integers(1, 80)),
    st.tuples(st.sampled_from(["grant", "lose_the_link", "attach", "fill_the_link", "drain_the_link"])),
)


@UNHURRIED
@given(script=st.lists(steps, max_size=60))
def test_whatever_happens_to_the_links_every_accepted_event_is_read_once_and_then_the_outcome(script):
    story = Story()
    for name, *arguments in script:
        getattr(story, name)(*arguments)

    story.exchange.finish(reply("done"))
    story.attach()
    while not story.outlet.outcomes:
        already = len(story.read)
        story.take(WINDOW)
        story.grant()
        assert len(story.read) > already or story.outlet.outcomes
    story.take(WINDOW)

    assert story.read == story.accepted
    assert story.outlet.outcomes == [(1, reply("done"))]


@UNHURRIED
@given(sizes=st.lists(st.sampled_from([0, 1000, 20_000, 600_000]), max_size=50))
def test_what_is_sent_and_not_read_never_exceeds_a_window_and_one_event(sizes):
    exchange, outlet = make_exchange(max_unread_bytes=64 * MIB), KeepingOutlet()
    exchange.attach(outlet, 1, after=0)

    for size in sizes:
        exchange.emit(PROGRESS, b"x" * size)

    assert len(outlet.events) <= WINDOW
    assert sum(len(event.data) for event in outlet.events[:-1]) <= WINDOW * 16 * 1024


@pytest.mark.parametrize("after", [5, 10**9])
def test_attaching_after_events_which_do_not_exist_yet_is_harmless(after):
    exchange, outlet = make_exchange(), KeepingOutlet()
    exchange.emit(PROGRESS, b"1")

    exchange.attach(outlet, 1, after=after).pump()
    exchange.emit(PROGRESS, b"2")
    exchange.finish(reply("done"))

    assert [event.seq for event in outlet.events] == [2]
    assert outlet.outcomes == [(1, reply("done"))]
