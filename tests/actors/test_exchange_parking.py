"""A parked exchange is resumed once for each question: nothing is lost, nothing is answered twice, and a repeated
resumption disturbs nobody."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.bus.asks import MAX_DROPPED
from actors.bus.exchange import Exchange, ExchangeSettings
from actors.bus.frames import Event, EventKind
from actors.core.outcome import Failure, FailureKind
from tests.support.bus import CALL, KeepingOutlet, exchange_id, reply

PROGRESS, ASK = EventKind.PROGRESS, EventKind.ASK
TIMEOUT = Failure(FailureKind.TIMEOUT, "git", "nobody answered")


@dataclass
class Parked:
    """An exchange whose backend keeps the answers it gets."""

    exchange: Exchange
    answers: list[tuple[int, bytes]] = field(default_factory=list)


def park(*kinds: EventKind, **limits: int) -> Parked:
    """An exchange with these events, read by nobody."""
    exchange = Exchange(
        exchange_id(1),
        CALL,
        backend="git",
        settings=ExchangeSettings(**limits),
        max_data_bytes=2**20,
        ended=lambda _: None,
    )
    parked = Parked(exchange)
    exchange.on_answer = lambda ask, value: parked.answers.append((ask, value))
    for kind in kinds:
        exchange.emit(kind, b"{}")
    return parked


def kinds_of(outlet: KeepingOutlet) -> list[FailureKind]:
    return [outcome.kind for _, outcome in outlet.outcomes if isinstance(outcome, Failure)]


def seqs(outlet: KeepingOutlet) -> list[int]:
    return [event.seq for event in outlet.events]


def test_a_resumption_hands_in_its_answers_and_reads_on():
    parked, outlet = park(PROGRESS, ASK), KeepingOutlet()

    parked.exchange.resume(outlet, 7, 2, [(2, b"yes")])
    parked.exchange.emit(PROGRESS, b"{}")
    parked.exchange.finish(reply("done"))

    assert parked.answers == [(2, b"yes")]
    assert outlet.events == [Event(7, 3, PROGRESS, b"{}")]
    assert outlet.outcomes == [(7, reply("done"))]


def test_what_the_answer_sets_off_at_once_goes_to_whoever_brought_it():
    parked, former, latter = park(ASK), KeepingOutlet(), KeepingOutlet()
    exchange = parked.exchange
    exchange.attach(former, 1, after=1)

    def go_on(_ask: int, _value: bytes) -> None:
        exchange.emit(PROGRESS, b"{}")
        exchange.finish(reply("done"))

    exchange.on_answer = go_on
    exchange.resume(latter, 2, 1, [(1, b"yes")])

    assert kinds_of(former) == [FailureKind.SUPERSEDED]
    assert former.events == []
    assert seqs(latter) == [2]
    assert latter.outcomes == [(2, reply("done"))]


def test_a_repeated_resumption_is_refused_and_the_reader_goes_on():
    parked, reader, repeated = park(ASK), KeepingOutlet(), KeepingOutlet()
    parked.exchange.resume(reader, 1, 1, [(1, b"yes")])

    parked.exchange.resume(repeated, 2, 1, [(1, b"no")])
    parked.exchange.emit(PROGRESS, b"{}")
    parked.exchange.finish(reply("done"))

    assert repeated.outcomes == [(2, Failure(FailureKind.REPLAYED, "git"))]
    assert repeated.forgotten == [2]
    assert repeated.events == []
    assert seqs(reader) == [2]
    assert reader.outcomes == [(1, reply("done"))]
    assert parked.answers == [(1, b"yes")]


def test_one_answer_given_before_spoils_the_whole_resumption():
    parked, outlet = park(ASK, ASK), KeepingOutlet()
    parked.exchange.answer(1, b"yes")

    parked.exchange.resume(outlet, 1, 2, [(2, b"new"), (1, b"again")])

    assert kinds_of(outlet) == [FailureKind.REPLAYED]
    assert parked.answers == [(1, b"yes")]
    assert parked.exchange.open_asks == 1


def test_an_answer_to_what_was_never_asked_is_refused():
    parked, outlet = park(PROGRESS), KeepingOutlet()

    parked.exchange.resume(outlet, 1, 1, [(1, b"to a progress event")])
    parked.exchange.resume(outlet, 2, 1, [(9, b"to the future")])

    assert kinds_of(outlet) == [FailureKind.REPLAYED] * 2


def test_the_first_of_two_answers_to_one_question_counts():
    parked = park(ASK)

    parked.exchange.resume(KeepingOutlet(), 1, 1, [(1, b"first"), (1, b"second")])

    assert parked.answers == [(1, b"first")]


def test_questions_still_open_are_asked_again_before_all_else():
    parked, outlet = park(ASK, PROGRESS, ASK, ASK, PROGRESS), KeepingOutlet()

    parked.exchange.resume(outlet, 1, 4, [(3, b"yes")])

    assert seqs(outlet) == [1, 4, 5]


def test_a_resumption_without_an_answer_asks_again():
    parked, outlet = park(ASK, PROGRESS), KeepingOutlet()

    parked.exchange.resume(outlet, 1, 2, [])

    assert seqs(outlet) == [1]


def test_an_answered_question_is_not_asked_again_of_whoever_reads_from_further_back():
    parked, outlet = park(PROGRESS, ASK, PROGRESS), KeepingOutlet()
    parked.exchange.answer(2, b"yes")

    parked.exchange.attach(outlet, 1, after=0).pump()

    assert seqs(outlet) == [1, 3]


def test_who_answers_after_the_time_is_over_hears_the_outcome_once():
    parked, outlet, repeated = park(ASK), KeepingOutlet(), KeepingOutlet()
    parked.exchange.finish(TIMEOUT)

    parked.exchange.resume(outlet, 1, 1, [(1, b"late")])
    parked.exchange.resume(repeated, 2, 1, [(1, b"late")])

    assert outlet.outcomes == [(1, TIMEOUT)]
    assert kinds_of(repeated) == [FailureKind.REPLAYED]
    assert parked.answers == []


def test_who_repeats_an_answer_after_the_outcome_is_refused():
    parked, outlet = park(ASK), KeepingOutlet()
    parked.exchange.answer(1, b"yes")
    parked.exchange.finish(reply("done"))

    parked.exchange.resume(outlet, 1, 1, [(1, b"yes")])

    assert kinds_of(outlet) == [FailureKind.REPLAYED]


def test_a_withdrawn_question_is_neither_asked_again_nor_held_against_who_answers_it():
    parked, early, late = park(ASK, ASK), KeepingOutlet(), KeepingOutlet()
    parked.exchange.withdraw(1)
    parked.exchange.attach(early, 1, after=0).pump()
    parked.exchange.answer(1, b"nobody wants it")

    parked.exchange.resume(late, 2, 2, [(1, b"nobody wants it"), (2, b"yes")])
    parked.exchange.finish(reply("done"))

    assert seqs(early) == [2]
    assert late.outcomes == [(2, reply("done"))]
    assert parked.answers == [(2, b"yes")]


def test_a_question_withdrawn_before_it_was_sent_is_not_sent():
    parked, outlet = park(), KeepingOutlet()
    parked.exchange.attach(outlet, 1, after=0)
    outlet.writable = False
    parked.exchange.emit(ASK, b"{}")
    parked.exchange.emit(PROGRESS, b"{}")

    parked.exchange.withdraw(1)
    parked.exchange.withdraw(1)
    outlet.drain()

    assert seqs(outlet) == [2]
    assert parked.exchange.open_asks == 0


def test_asking_and_withdrawing_without_end_takes_no_memory():
    parked = park(max_open_asks=2)

    for _ in range(2 * MAX_DROPPED):
        assert parked.exchange.emit(ASK, b"x" * 1000)
        parked.exchange.withdraw(parked.exchange.last_seq)

    assert parked.exchange.size == len(CALL.params)
    assert len(parked.exchange._unread) == 0
    assert len(parked.exchange._asks._dropped) == MAX_DROPPED


class TwoLinks(RuleBasedStateMachine):
    """An exchange, and a client that reads it over one of two links, loses them, parks, resumes and repeats itself."""

    def __init__(self) -> None:
        super().__init__()
        self.parked = park(max_unread_events=1000, max_read_events=1000)
        self.exchange = self.parked.exchange
        self.links = [KeepingOutlet(), KeepingOutlet()]
        self.number = 0
        self.reading: KeepingOutlet | None = None
        """The link whose reader the client believes in."""
        self.taken = 0
        self.again: set[int] = set()
        """Open questions from before, which the current resumption may show once more."""
        self.last = 0
        self.seen: list[Event] = []
        self.accepted: dict[int, EventKind] = {}
        self.void: set[int] = set()
        """Questions which were withdrawn, or ended with the exchange."""
        self.given: set[int] = set()
        """Questions somebody brought an answer to."""
        self.resumed: list[tuple[int, list[tuple[int, bytes]]]] = []

    @property
    def asked(self) -> list[int]:
        return sorted({event.seq for event in self.seen if event.kind is ASK})

    def fresh(self, which: int) -> KeepingOutlet:
        """Another attachment on a link."""
        self.number += 1
        self.links[which] = KeepingOutlet()
        self.taken = 0
        return self.links[which]

    @rule(kind=st.sampled_from([PROGRESS, ASK]))
    def emit(self, kind: EventKind) -> None:
        if self.exchange.emit(kind, b"{}"):
            self.accepted[self.exchange.last_seq] = kind

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        ask = data.draw(st.integers(0, self.exchange.last_seq + 1))
        before = self.exchange.open_asks
        self.exchange.withdraw(ask)
        if self.exchange.open_asks < before:
            self.void.add(ask)

    @rule(data=st.data(), value=st.binary(max_size=2))
    def answer_over_any_link(self, data: st.DataObject, value: bytes) -> None:
        ask = data.draw(st.sampled_from([0, *self.asked]))
        self.exchange.answer(ask, value)
        if ask in self.asked and ask not in self.void:
            self.given.add(ask)

    @precondition(lambda self: self.reading is not None)
    @rule(count=st.integers(1, 5))
    def read(self, count: int) -> None:
        assert self.reading is not None
        for event in self.reading.events[self.taken : self.taken + count]:
            self.taken += 1
            if event.seq in self.again:
                self.again.remove(event.seq)
            else:
                skipped = set(self.accepted) & set(range(self.last + 1, event.seq))
                assert event.seq > self.last
                assert skipped <= self.void
                self.last = event.seq
            self.seen.append(event)
        self.exchange.grant(self.last)

    @rule()
    def lose_the_link(self) -> None:
        self.exchange.detach()
        self.reading = None

    @rule(which=st.sampled_from([0, 1]))
    def attach(self, which: int) -> None:
        self.reading = self.fresh(which)
        self.again.clear()
        self.exchange.attach(self.reading, self.number, self.last).pump()

    @rule(which=st.sampled_from([0, 1]), data=st.data())
    def resume(self, which: int, data: st.DataObject) -> None:
        open_before = {each for each in self.asked if each not in self.void | self.given}
        asks = data.draw(st.lists(st.sampled_from(self.asked), unique=True)) if self.asked else []
        answers = [(ask, b"%d" % ask) for ask in asks]
        former, outlet = self.exchange.reader, KeepingOutlet()
        self.number += 1

        self.exchange.resume(outlet, self.number, self.last, answers)

        if set(asks) & self.given:
            assert kinds_of(outlet) == [FailureKind.REPLAYED]
            assert self.exchange.reader is former
            return
        assert FailureKind.REPLAYED not in kinds_of(outlet)
        self.links[which] = self.reading = outlet
        self.taken = 0
        self.given |= set(asks)
        self.again = open_before - set(asks)
        self.resumed.append((self.last, answers))
        assert [event.seq for event in outlet.events][: len(self.again)] == sorted(self.again)

    @precondition(lambda self: any(answers for _, answers in self.resumed))
    @rule(data=st.data())
    def repeat_a_resumption(self, data: st.DataObject) -> None:
        after, answers = data.draw(st.sampled_from([each for each in self.resumed if each[1]]))
        former, outlet, told = self.exchange.reader, KeepingOutlet(), list(self.parked.answers)

        self.exchange.resume(outlet, 10**6, after, answers)

        assert (outlet.events, kinds_of(outlet)) == ([], [FailureKind.REPLAYED])
        assert self.exchange.reader is former
        assert self.parked.answers == told

    @precondition(lambda self: not self.exchange.done)
    @rule(patience=st.integers(0, 3))
    def finish(self, patience: int) -> None:
        if patience:  # most stories shall not be over at once
            return
        self.void |= {seq for seq, kind in self.accepted.items() if kind is ASK and seq not in self.given}
        self.exchange.finish(TIMEOUT)

    @invariant()
    def every_question_is_answered_at_most_once(self) -> None:
        asks = [ask for ask, _ in self.parked.answers]
        assert len(asks) == len(set(asks))
        assert all(self.accepted[ask] is ASK for ask in asks)

    def teardown(self) -> None:
        self.void |= {seq for seq, kind in self.accepted.items() if kind is ASK and seq not in self.given}
        self.exchange.finish(TIMEOUT)
        self.attach(0)
        while self.reading is not None and self.taken < len(self.reading.events):
            self.read(5)

        assert self.reading is not None
        assert self.reading.outcomes == [(self.number, TIMEOUT)]
        assert set(self.accepted) - {event.seq for event in self.seen} <= self.void


TestTwoLinks = TwoLinks.TestCase
TestTwoLinks.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
