"""Flights that go on with an exchange: parked and resumed, read on after a broken stream, or bound to one replica."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.bus.exchange import Exchange
from actors.bus.frames import Event, EventKind
from actors.core.membership import ReplicaKey
from actors.core.outcome import Failure, FailureKind
from actors.core.where import Where
from serve_app.attempts import NO_LINK
from serve_app.flight import GONE, MAX_ANSWERS, Flight
from tests.support.bus import CALL, WAIT_SECONDS, exchange_id, reply, until
from tests.support.fleet import Fleet, fleet

REPLAYED = Failure(FailureKind.REPLAYED, "git")


def ask_twice(exchange: Exchange) -> None:
    exchange.emit(EventKind.ASK, b"1")
    exchange.emit(EventKind.ASK, b"2")


def refuse(exchange: Exchange) -> None:
    exchange.finish(Failure(FailureKind.BUSY, "git"))


async def read(flight: Flight, count: int) -> list[int]:
    """The numbers of the next events."""
    numbers = []
    async with asyncio.timeout(WAIT_SECONDS):
        for _ in range(count):
            item = await flight.next()
            assert isinstance(item, Event), item
            numbers.append(item.seq)
    return numbers


async def park(built: Fleet) -> tuple[Where, Exchange]:
    """A call that asked twice and was left; the only one there is."""
    flight = Flight(built.links, built.backend, CALL)
    assert await read(flight, 2) == [1, 2]
    flight.leave()
    [exchange] = [exchange for ship in built.ships for exchange in ship.exchanges]
    await until(lambda: exchange.reader is None)
    assert flight.where is not None
    return flight.where, exchange


async def test_where_a_call_is_says_what_is_needed_to_go_on_with_it() -> None:
    async with fleet() as built:
        flight = Flight(built.links, built.backend, CALL, lambda _: exchange_id(7))
        before = flight.where
        waiting = asyncio.create_task(flight.next())
        await until(lambda: bool(built.ships[0].exchanges))
        at_first = flight.where
        built.ships[0].exchanges[0].emit(EventKind.PROGRESS, b"{}")
        await waiting

        assert before is None
        assert at_first == Where(ReplicaKey("git", 0), "life 1 of git:0", exchange_id(7), 0)
        assert flight.where == Where(ReplicaKey("git", 0), "life 1 of git:0", exchange_id(7), 1)


async def test_a_parked_call_is_resumed_with_its_answers_and_runs_once() -> None:
    async with fleet(3, ask_twice) as built:
        where, exchange = await park(built)

        flight = Flight.resume(built.links, built.backend, where, [(1, b"yes"), (2, b"no")])
        resumed = asyncio.create_task(flight.next())
        ship = built.ships[where.replica.index]
        await until(lambda: len(ship.answers) == 2)
        exchange.finish(reply("done"))

        assert await resumed == reply("done")
        assert ship.answers == [(1, b"yes"), (2, b"no")]
        assert sum(len(each.exchanges) for each in built.ships) == 1


async def test_what_was_not_answered_is_asked_again_and_can_be_parked_again() -> None:
    async with fleet(1, ask_twice) as built:
        where, exchange = await park(built)
        flight = Flight.resume(built.links, built.backend, where, [(2, b"no")])
        assert await read(flight, 1) == [1]
        flight.leave()
        assert flight.where == where

        last = Flight.resume(built.links, built.backend, where, [(1, b"yes")])
        resumed = asyncio.create_task(last.next())
        await until(lambda: len(built.ships[0].answers) == 2)
        exchange.finish(reply("done"))

        assert await resumed == reply("done")


async def test_a_repeated_resumption_is_refused_and_disturbs_nobody() -> None:
    async with fleet(1, ask_twice) as built:
        where, exchange = await park(built)
        flight = Flight.resume(built.links, built.backend, where, [(1, b"yes"), (2, b"no")])
        resumed = asyncio.create_task(flight.next())
        await until(lambda: len(built.ships[0].answers) == 2)

        repeated = await Flight.resume(built.links, built.backend, where, [(1, b"yes"), (2, b"no")]).next()
        exchange.finish(reply("done"))

        assert repeated == REPLAYED
        assert await resumed == reply("done")


async def test_a_link_that_breaks_after_the_resumption_loses_nothing_and_asks_nothing_twice() -> None:
    async with fleet(1, ask_twice) as built:
        where, exchange = await park(built)
        flight = Flight.resume(built.links, built.backend, where, [(1, b"yes")])
        assert await read(flight, 1) == [2]

        built.cut()
        exchange.emit(EventKind.PROGRESS, b"{}")
        assert await read(flight, 1) == [3]
        flight.answer(2, b"no")
        await until(lambda: len(built.ships[0].answers) == 2)
        exchange.finish(reply("done"))

        assert await flight.next() == reply("done")
        assert built.ships[0].answers == [(1, b"yes"), (2, b"no")]


async def test_a_resumption_that_was_lost_with_its_link_arrives_over_the_next() -> None:
    async with fleet(1, ask_twice) as built:
        where, exchange = await park(built)
        link = built.open[0]
        flight = Flight.resume(built.links, built.backend, where, [(1, b"yes")])
        resumed = asyncio.create_task(flight.next())
        await asyncio.sleep(0)
        assert link.in_flight == 1
        link.link.abort("cut")  # sent, and not written yet: that is done in the next turn of the loop

        asked_again = await resumed
        await until(lambda: bool(built.ships[0].answers))

        assert isinstance(asked_again, Event)
        assert asked_again.seq == 2
        assert built.ships[0].answers == [(1, b"yes")]
        assert exchange.open_asks == 1


async def test_an_answer_that_was_lost_with_its_link_is_given_again_over_the_next() -> None:
    async with fleet(1, ask_twice) as built:
        flight = Flight(built.links, built.backend, CALL)
        await read(flight, 2)
        flight.answer(1, b"yes")
        flight.answer(2, b"no")
        built.cut()  # before they were written

        resumed = asyncio.create_task(flight.next())
        await until(lambda: len(built.ships[0].answers) == 2)
        built.ships[0].exchanges[0].finish(reply("done"))

        assert await resumed == reply("done")
        assert built.ships[0].answers == [(1, b"yes"), (2, b"no")]


async def test_answers_kept_for_a_broken_link_are_bounded_and_the_latest_ones() -> None:
    def ask_much(exchange: Exchange) -> None:
        exchange.on_answer = None  # it listens to none of them until it is told to
        for _ in range(MAX_ANSWERS):
            exchange.emit(EventKind.ASK, b"?")

    async with fleet(1, ask_much) as built:
        flight = Flight(built.links, built.backend, CALL)
        await read(flight, MAX_ANSWERS)
        for number in range(1, MAX_ANSWERS + 1):
            flight.answer(number + 10, b"")

        assert sorted(flight._answers) == list(range(11, MAX_ANSWERS + 11))
        flight.answer(1, b"")
        assert sorted(flight._answers) == [1, *range(12, MAX_ANSWERS + 11)]


async def test_a_call_whose_replica_has_another_life_is_gone_and_not_made_again() -> None:
    async with fleet(2, ask_twice, connect_seconds=0.05) as built:
        where, _ = await park(built)
        ship = built.ships[where.replica.index]
        await ship.end()
        await ship.begin()
        built.publish()

        resumed = await Flight.resume(built.links, built.backend, where, [(1, b"yes")]).next()
        attached = await Flight.attach(built.links, built.backend, where).next()
        pinned = await Flight(built.links, built.backend, CALL, pinned=where).next()

        assert resumed == attached == pinned == Failure(FailureKind.DISCONNECTED, "git", GONE)
        assert sum(len(each.exchanges) for each in built.ships) == 1


async def test_a_call_whose_replica_cannot_be_reached_just_now_can_be_resumed_later() -> None:
    async with fleet(1, ask_twice, connect_seconds=0.05) as built:
        where, _ = await park(built)
        built.harbour_closed = True
        built.cut()
        refused = await Flight.resume(built.links, built.backend, where, [(1, b"yes")]).next()
        built.harbour_closed = False
        await until(lambda: len(built.open) == 1)

        resumed = Flight.resume(built.links, built.backend, where, [(1, b"yes")])

        assert refused == Failure(FailureKind.UNAVAILABLE, "git", NO_LINK)
        assert await read(resumed, 1) == [2]


async def test_a_resumption_waits_for_a_link_that_is_being_opened() -> None:
    async with fleet(1, ask_twice) as built:
        where, _ = await park(built)
        built.cut()

        assert await read(Flight.resume(built.links, built.backend, where, [(1, b"yes")]), 1) == [2]


async def test_a_broken_stream_is_read_on_from_any_event() -> None:
    async with fleet(1) as built:
        first = Flight(built.links, built.backend, CALL)
        waiting = asyncio.create_task(first.next())
        await until(lambda: bool(built.ships[0].exchanges))
        exchange = built.ships[0].exchanges[0]
        for _ in range(4):
            exchange.emit(EventKind.PROGRESS, b"{}")
        await waiting
        assert first.where is not None

        flight = Flight.attach(built.links, built.backend, first.where)
        assert await read(flight, 1) == [2]
        built.cut()
        exchange.finish(reply("done"))

        assert await read(flight, 2) == [3, 4]
        assert await flight.next() == reply("done")
        assert flight.where is not None
        assert flight.where.after == 4


async def test_a_pinned_call_goes_to_its_replica_and_to_no_other_though_that_refuses_it() -> None:
    async with fleet(3, refuse) as built:
        ship = built.ships[1]
        where = Where(ship.key, ship.epoch, exchange_id(99), 5)

        outcomes = [await Flight(built.links, built.backend, CALL, pinned=where).next() for _ in range(5)]

        assert outcomes == [Failure(FailureKind.BUSY, "git")] * 5
        assert [len(each.exchanges) for each in built.ships] == [0, 5, 0]
        assert all(exchange.id != where.exchange_id for exchange in ship.exchanges)


async def test_calls_of_one_affinity_meet_at_one_replica_whatever_the_load() -> None:
    async with fleet(4, lambda exchange: exchange.finish(reply("done"))) as built:
        chosen: dict[int, set[ReplicaKey]] = {}
        for number in range(120):
            flight = Flight(built.links, built.backend, CALL, affinity=b"session %d" % (number % 30))
            assert await flight.next() == reply("done")
            assert flight.where is not None
            chosen.setdefault(number % 30, set()).add(flight.where.replica)

        assert all(len(keys) == 1 for keys in chosen.values())
        assert len(set.union(*chosen.values())) == 4


async def test_calls_of_one_affinity_go_elsewhere_when_their_replica_is_lost_or_refuses() -> None:
    def refuse_at_first(exchange: Exchange) -> None:
        if sum(len(ship.exchanges) for ship in built.ships) == 1:
            refuse(exchange)
        else:
            exchange.finish(reply("done"))

    async with fleet(2, refuse_at_first) as built:
        outcome = await Flight(built.links, built.backend, CALL, affinity=b"session").next()
        chosen = built.links.choose(built.backend, affinity=b"session")
        assert chosen is not None
        other = built.links.choose(built.backend, [chosen[0]], affinity=b"session")

        assert outcome == reply("done")
        assert other is not None
        assert other[0] != chosen[0]


@pytest.mark.parametrize("parked", [True, False])
async def test_going_on_with_what_the_replica_does_not_know_is_a_disconnection(parked: bool) -> None:
    async with fleet() as built:
        where = Where(built.ships[0].key, built.ships[0].epoch, exchange_id(5), 0)
        flight = (
            Flight.resume(built.links, built.backend, where, [])
            if parked
            else Flight.attach(built.links, built.backend, where)
        )

        outcome = await flight.next()

        assert isinstance(outcome, Failure)
        assert outcome.kind is FailureKind.DISCONNECTED


class Story:
    """A call, and a client that answers some of its questions at once and some when it was parked."""

    def __init__(self, built: Fleet, answered: list[bool]) -> None:
        self.built = built
        self.ship = built.ships[0]
        self.flight = Flight(built.links, built.backend, CALL)
        self.seen: list[Event] = []
        self.given: set[int] = set()
        self.progressed = [1]
        self._answered = iter(answered)

    async def begin(self) -> None:
        opening = asyncio.create_task(self.flight.next())
        await until(lambda: bool(self.ship.exchanges))
        self.exchange = self.ship.exchanges[0]
        self.exchange.emit(EventKind.PROGRESS, b"{}")
        item = await opening
        assert isinstance(item, Event)
        self.seen.append(item)

    async def ask(self) -> None:
        self.exchange.emit(EventKind.ASK, b"{}")

    async def progress(self) -> None:
        self.exchange.emit(EventKind.PROGRESS, b"{}")
        self.progressed.append(self.exchange.last_seq)

    async def cut(self) -> None:
        self.built.cut()

    async def read(self) -> None:
        """Everything there is by now."""
        while max(event.seq for event in self.seen) < self.exchange.last_seq:
            item = await self.flight.next()
            assert isinstance(item, Event)
            self.seen.append(item)
            if item.kind is EventKind.ASK and item.seq not in self.given and next(self._answered, True):
                self.given.add(item.seq)
                self.flight.answer(item.seq, b"%d" % item.seq)

    async def park(self) -> None:
        """Leave, and come back with one more answer."""
        await self.read()
        where = self.flight.where
        if where is None:
            return  # it came back just now, and has not begun to read
        self.flight.leave()
        now = sorted({event.seq for event in self.seen if event.kind is EventKind.ASK} - self.given)[:1]
        self.given |= set(now)
        answers = [(ask, b"%d" % ask) for ask in now]
        self.flight = Flight.resume(self.built.links, self.built.backend, where, answers)

    async def end(self) -> object:
        self.exchange.finish(reply("done"))
        while isinstance(item := await self.flight.next(), Event):
            self.seen.append(item)
        return item


@settings(deadline=None, max_examples=20)
@given(
    script=st.lists(st.sampled_from(["ask", "progress", "cut", "read", "park"]), max_size=25),
    answered=st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_whatever_happens_to_the_links_a_call_is_answered_once_and_read_in_order(
    script: list[str], answered: list[bool]
) -> None:
    async def tell() -> tuple[Story, object]:
        async with fleet() as built:
            story = Story(built, answered)
            await story.begin()
            for step in script:
                await getattr(story, step)()
            return story, await story.end()

    story, outcome = asyncio.run(asyncio.wait_for(tell(), WAIT_SECONDS))

    asked = [ask for ask, _ in story.ship.answers]
    at_first = list(dict.fromkeys(event.seq for event in story.seen))
    assert outcome == reply("done")
    assert len(set(asked)) == len(asked)
    assert all(value == b"%d" % ask for ask, value in story.ship.answers)
    assert at_first == sorted(at_first)
    assert [event.seq for event in story.seen if event.kind is EventKind.PROGRESS] == story.progressed
