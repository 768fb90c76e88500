"""Two attempts at one call: one outcome, one voice, and nobody left running."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.bus.exchange import Exchange
from actors.bus.frames import Event, EventKind
from actors.core.incident import Incident
from actors.core.outcome import Failure, FailureKind
from actors.core.traffic_settings import RetrySettings
from serve_app.flight import Flight
from serve_app.hedge import LOST, Hedge
from serve_app.retries import Retries
from tests.support.bus import CALL, UNHURRIED, reply, until
from tests.support.fleet import Fleet, Ship, fleet

AT_ONCE = 0.001
NEVER = 60.0


def hedge(built: Fleet, after: float, retries: Retries | None = None) -> Hedge:
    return Hedge(Flight(built.links, built.backend, CALL, retries=retries or Retries(), repeatable=True), after)


class Notes:
    """What befell calls, in order."""

    def __init__(self) -> None:
        self.taken: list[Incident] = []
        self.retries = Retries(note=self)

    def __call__(self, incident: Incident, backend: str, reason: str = "") -> None:
        assert (backend, reason) == ("git", "")
        self.taken.append(incident)


async def both(built: Fleet) -> tuple[Ship, Ship]:
    """The replicas of the first and the second attempt, once both run."""
    await until(lambda: any(ship.exchanges for ship in built.ships))
    first = next(ship for ship in built.ships if ship.exchanges)
    second = next(ship for ship in built.ships if ship is not first)
    await until(lambda: bool(second.exchanges))
    return first, second


def exchanges(built: Fleet) -> int:
    return sum(len(ship.exchanges) for ship in built.ships)


async def test_a_quick_answer_is_never_asked_for_twice() -> None:
    async with fleet(2, lambda exchange: exchange.finish(reply("done"))) as built:
        assert await hedge(built, NEVER).next() == reply("done")
        assert exchanges(built) == 1


@pytest.mark.parametrize("winner", [0, 1])
async def test_the_first_reply_counts_and_the_other_attempt_is_cancelled(winner: int) -> None:
    async with fleet(2) as built:
        hedged = hedge(built, AT_ONCE)
        flying = asyncio.create_task(hedged.next())
        ships = await both(built)
        ships[winner].exchanges[0].finish(reply("quick"))
        outcome = await flying
        loser = ships[1 - winner]
        await until(lambda: loser.cancellations == [LOST])
        loser.exchanges[0].finish(reply("late"))

        assert outcome == await hedged.next() == reply("quick")
        assert hedged.where.replica == ships[winner].key
        assert ships[winner].cancellations == []
        assert ships[0].exchanges[0].id != ships[1].exchanges[0].id


@pytest.mark.parametrize("winner", [0, 1])
async def test_the_first_that_is_heard_of_is_the_only_one_that_is(winner: int) -> None:
    async with fleet(2) as built:
        hedged = hedge(built, AT_ONCE)
        flying = asyncio.create_task(hedged.next())
        ships = await both(built)
        ships[winner].exchanges[0].emit(EventKind.PROGRESS, b'{"progress":1}')
        event = await flying
        ships[1 - winner].exchanges[0].emit(EventKind.PROGRESS, b'{"progress":9}')
        ships[1 - winner].exchanges[0].finish(reply("late"))
        await until(lambda: ships[1 - winner].exchanges[0].reader is None)
        ships[winner].exchanges[0].finish(reply("done"))

        assert isinstance(event, Event)
        assert event.data == b'{"progress":1}'
        assert await hedged.next() == reply("done")


async def test_a_failure_counts_only_if_nothing_else_is_under_way() -> None:
    async with fleet(2) as built:
        flying = asyncio.create_task(hedge(built, AT_ONCE).next())
        first, second = await both(built)
        second.exchanges[0].finish(Failure(FailureKind.TOO_LARGE, "git"))
        await until(lambda: second.exchanges[0].reader is None)
        still_flying = not flying.done()
        first.exchanges[0].finish(Failure(FailureKind.TOO_LARGE, "git", "the last one"))

        assert (await flying).detail == "the last one"
    assert still_flying


async def test_where_there_is_no_other_replica_there_is_no_second_attempt() -> None:
    async with fleet(1) as built:
        flying = asyncio.create_task(hedge(built, AT_ONCE).next())
        await until(lambda: exchanges(built) == 1)
        await asyncio.sleep(0.02)
        built.ships[0].exchanges[0].finish(reply("done"))

        assert await flying == reply("done")
        assert exchanges(built) == 1


async def test_second_attempts_end_with_the_budget() -> None:
    retries = Retries()
    async with fleet(2) as built:
        flying = []
        for number in range(30):
            flight = Flight(built.links, built.backend, CALL, retries=retries, repeatable=True)
            flying.append(asyncio.create_task(Hedge(flight, AT_ONCE).next()))
            await until(lambda number=number: exchanges(built) > number)
        budget = retries.begin(built.backend)
        await until(lambda: not budget.allows(retries.clock()))
        await asyncio.sleep(0.02)
        count = exchanges(built)
        for ship in built.ships:
            for exchange in ship.exchanges:
                exchange.finish(reply("done"))
        outcomes = await asyncio.gather(*flying)

    assert outcomes == [reply("done")] * 30
    assert 30 < count <= 30 + 5 + 0.2 * 31


async def test_reading_in_pieces_loses_nothing_and_starts_nothing_twice() -> None:
    async with fleet(2) as built:
        hedged = hedge(built, 0.02)
        for _ in range(8):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(hedged.next(), 0.01)
        first, second = await both(built)
        second.exchanges[0].finish(reply("done"))

        assert await hedged.next() == reply("done")
        assert (len(first.exchanges), len(second.exchanges)) == (1, 1)


@pytest.mark.parametrize("way", ["cancel", "expire"])
async def test_who_gives_up_gives_up_both(way: str) -> None:
    async with fleet(2) as built:
        hedged = hedge(built, AT_ONCE)
        flying = asyncio.create_task(hedged.next())
        ships = await both(built)
        flying.cancel()
        if way == "cancel":
            hedged.cancel("timeout")
            hedged.leave()
        else:
            hedged.expire()

        await until(lambda: all(ship.cancellations == ["timeout"] for ship in ships))
        await until(lambda: all(not link.in_flight for link in built.open))


FATES = st.sampled_from([*sorted(FailureKind), "reply", "progress"])


@UNHURRIED
@given(fates=st.tuples(FATES, FATES), second_first=st.booleans())
async def test_a_hedged_call_has_one_outcome_of_one_attempt(
    fates: tuple[FailureKind | str, FailureKind | str], second_first: bool
) -> None:
    def end(exchange: Exchange, fate: FailureKind | str, name: str) -> None:
        if fate == "progress":
            exchange.emit(EventKind.PROGRESS, b'"%b"' % name.encode())
        if fate in ("reply", "progress"):
            exchange.finish(reply(name))
        else:
            exchange.finish(Failure(FailureKind(fate), "git", name))

    async with fleet(2, retry=RetrySettings(max_attempts=1)) as built:
        hedged = hedge(built, AT_ONCE)
        flying = asyncio.create_task(hedged.next())
        ships = await both(built)
        turns = list(zip(ships, fates, ("first", "second"), strict=True))
        for ship, fate, name in reversed(turns) if second_first else turns:
            end(ship.exchanges[0], fate, name)
        heard = [await flying]
        while isinstance(heard[-1], Event):
            heard.append(await hedged.next())

    good = [name for _, fate, name in turns if fate in ("reply", "progress")]
    *events, outcome = heard
    assert isinstance(outcome, Failure) == (not good)
    if good:
        assert outcome.body.decode() in good
        assert all(event.data == b'"%b"' % outcome.body for event in events)


@pytest.mark.parametrize(("winner", "noted"), [(0, [Incident.HEDGE]), (1, [Incident.HEDGE, Incident.HEDGE_WON])])
async def test_a_second_attempt_is_counted_and_once_more_if_it_was_quicker(winner: int, noted: list[Incident]) -> None:
    notes = Notes()
    async with fleet(2) as built:
        flying = asyncio.create_task(hedge(built, AT_ONCE, notes.retries).next())
        ships = await both(built)
        ships[winner].exchanges[0].finish(reply("quick"))
        await flying

    assert notes.taken == noted


async def test_a_second_attempt_that_failed_last_has_not_won() -> None:
    notes = Notes()
    async with fleet(2) as built:
        flying = asyncio.create_task(hedge(built, AT_ONCE, notes.retries).next())
        first, second = await both(built)
        first.exchanges[0].finish(Failure(FailureKind.TOO_LARGE, "git"))
        await until(lambda: first.exchanges[0].reader is None)
        second.exchanges[0].finish(Failure(FailureKind.TOO_LARGE, "git"))
        await flying

    assert notes.taken == [Incident.HEDGE]


async def test_what_was_quick_enough_counts_as_no_hedge() -> None:
    notes = Notes()
    async with fleet(2, lambda exchange: exchange.finish(reply("done"))) as built:
        await hedge(built, NEVER, notes.retries).next()

    assert notes.taken == []
