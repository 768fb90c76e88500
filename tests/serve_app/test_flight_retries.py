"""Flights whose attempts fail: where the next one goes, when there is none, and that what may have run is repeated only
where that does no harm."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.bus.exchange import Exchange
from actors.bus.frames import Event, EventKind
from actors.core.incident import Incident
from actors.core.membership import ReplicaState
from actors.core.outcome import NEVER_SENT, Failure, FailureKind, Reply
from actors.core.retry import MAY_HAVE_RUN
from actors.core.retry_budget import FLOOR
from actors.core.traffic_settings import EjectionSettings, RetrySettings
from actors.core.view import View
from serve_app.attempts import ASLEEP, NO_LINK
from serve_app.flight import Flight
from serve_app.links import NEWS_SECONDS
from serve_app.retries import Retries
from tests.support.bus import CALL, UNHURRIED, reply, until
from tests.support.fleet import Fleet, fleet
from tests.support.hand_clock import HandClock

DONE = reply("done")


class Script:
    """What becomes of each call that arrives, wherever it arrives; the last goes on for ever."""

    def __init__(self, *fates: FailureKind | Reply) -> None:
        self.fates = fates
        self.exchanges: list[Exchange] = []

    def __call__(self, exchange: Exchange) -> None:
        fate = self.fates[min(len(self.exchanges), len(self.fates) - 1)]
        self.exchanges.append(exchange)
        exchange.finish(fate if isinstance(fate, Reply) else Failure(fate, "git", "on purpose"))


class HastySleep:
    """Sleeps that are over at once, and are written down; the clock moves with them."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        self.clock.advance(seconds)
        await asyncio.sleep(0)


class Hands:
    """Retries whose clock, dice and sleep are in the hands of a test."""

    def __init__(self, dice: float = 0.0) -> None:
        self.clock = HandClock()
        self.sleep = HastySleep(self.clock)
        self.woken: list[str] = []
        self.on_wake: Callable[[], None] = lambda: None
        self.noted: list[tuple[Incident, str, str]] = []
        self.retries = Retries(lambda: dice, self.clock, self.sleep, self._wake, self._note)

    def _wake(self, backend: str) -> None:
        self.woken.append(backend)
        self.on_wake()

    def _note(self, incident: Incident, backend: str, reason: str = "") -> None:
        self.noted.append((incident, backend, reason))


def start(built: Fleet, hands: Hands, *, repeatable: bool = False) -> Flight:
    return Flight(built.links, built.backend, CALL, retries=hands.retries, repeatable=repeatable)


def runs(built: Fleet) -> list[int]:
    return [len(ship.exchanges) for ship in built.ships]


# --- never sent ---


@pytest.mark.parametrize("kind", sorted(NEVER_SENT))
async def test_a_refused_call_is_at_another_replica_without_any_wait(kind: FailureKind) -> None:
    hands, script = Hands(), Script(kind, DONE)
    async with fleet(2, script) as built:
        assert await start(built, hands).next() == DONE
        assert runs(built) == [1, 1]
    assert hands.sleep.taken == []


async def test_each_attempt_is_an_exchange_of_its_own() -> None:
    hands, script = Hands(), Script(FailureKind.UNAVAILABLE, FailureKind.UNAVAILABLE, DONE)
    async with fleet(3, script) as built:
        flight = start(built, hands)
        assert await flight.next() == DONE
        assert flight.where.exchange_id == script.exchanges[-1].id
    assert len({exchange.id for exchange in script.exchanges}) == 3


async def test_the_only_replica_is_asked_again_after_a_while_and_told_how_much_time_is_left() -> None:
    hands, script = Hands(), Script(FailureKind.UNAVAILABLE, DONE)
    async with fleet(1, script, retry=RetrySettings(backoff=4.0)) as built:
        assert await start(built, hands).next() == DONE

    assert hands.sleep.taken == [2.0]
    assert [exchange.call.time_left for exchange in script.exchanges] == [30.0, 28.0]


async def test_no_replica_is_asked_more_often_than_there_may_be_attempts() -> None:
    hands, script = Hands(), Script(FailureKind.UNAVAILABLE)
    async with fleet(1, script, retry=RetrySettings(max_attempts=2)) as built:
        outcome = await start(built, hands).next()

    assert outcome == Failure(FailureKind.UNAVAILABLE, "git", "on purpose")
    assert len(script.exchanges) == 2


async def test_a_busy_replica_that_is_the_only_one_is_left_alone() -> None:
    hands = Hands()
    busy = Failure(FailureKind.BUSY, "git", retry_after=3.0)
    async with fleet(1, lambda exchange: exchange.finish(busy)) as built:
        assert await start(built, hands).next() == busy
        assert runs(built) == [1]
    assert hands.sleep.taken == []


async def test_a_call_finds_the_replica_that_took_the_place_of_a_lost_one() -> None:
    hands, script = Hands(), Script(DONE)
    async with fleet(1, script, connect_seconds=5.0) as built:
        await built.ships[0].end()
        await until(lambda: not built.open)
        flying = asyncio.create_task(start(built, hands).next())
        await asyncio.sleep(0.02)
        waited = not flying.done()
        await built.ships[0].begin()
        built.publish()

        assert await flying == DONE
    assert waited


async def test_a_replica_that_is_new_since_the_call_began_may_have_it() -> None:
    hands, script = Hands(), Script(FailureKind.UNAVAILABLE, DONE)
    async with fleet(2, script, connect_seconds=5.0) as built:
        late = built.ships.pop()
        built.publish()
        flight = start(built, hands)
        built.ships.append(late)
        built.publish()
        await until(lambda: len(built.open) == 2)

        assert await flight.next() == DONE
        assert runs(built) == [1, 1]


async def test_a_backend_that_failed_to_start_fails_its_calls_at_once() -> None:
    hands = Hands()
    async with fleet(1, connect_seconds=60.0) as built:
        built.ships[0].state = ReplicaState.DOWN
        built.publish()
        outcome = await start(built, hands).next()

    assert outcome.kind is FailureKind.UNAVAILABLE
    assert hands.sleep.taken == []


async def test_a_link_that_does_not_come_is_waited_for_as_often_as_there_may_be_attempts() -> None:
    hands = Hands()
    async with fleet(1, connect_seconds=0.01) as built:
        built.harbour_closed = True
        built.cut()
        outcome = await start(built, hands).next()

    assert outcome == Failure(FailureKind.UNAVAILABLE, "git", NO_LINK)
    assert len(hands.sleep.taken) == 2


# --- leaving ---


async def leave(built: Fleet) -> None:
    """Have the only replica say that it leaves; the View is late."""
    built.ships[0].leave()
    await until(lambda: built.open[0].leaving)


async def test_a_call_whose_only_replica_has_said_that_it_leaves_waits_for_its_successor() -> None:
    script = Script(DONE)
    async with fleet(2, script, connect_seconds=0.01, retry=RetrySettings(max_attempts=1)) as built:
        one, other = built.ships
        built.ships = [one]
        built.publish()
        await leave(built)
        flying = asyncio.create_task(start(built, Hands()).next())
        await asyncio.sleep(0.05)
        assert not flying.done()

        built.ships = [one, other]
        built.publish()

        assert await flying == DONE
        assert runs(built) == [0, 1]


async def test_a_call_whose_only_replica_has_left_wakes_another_if_the_view_says_that_its_backend_sleeps() -> None:
    hands = Hands()
    async with fleet(2, Script(DONE), connect_seconds=0.01, wakes=True, start_timeout=5.0) as built:
        one, other = built.ships
        built.ships = [one]
        built.publish()
        await leave(built)
        flying = asyncio.create_task(start(built, hands).next())
        await asyncio.sleep(0)
        assert hands.woken == []

        one.state = ReplicaState.DRAINING
        built.publish()
        await until(lambda: bool(hands.woken))
        built.ships = [one, other]
        built.publish()

        assert await flying == DONE
        assert hands.woken == ["git"]


async def test_a_call_whose_backend_has_left_for_good_waits_no_longer_than_until_the_view_says_so() -> None:
    async with fleet(1, connect_seconds=0.01) as built:
        await leave(built)
        flying = asyncio.create_task(start(built, Hands()).next())
        await asyncio.sleep(0)

        built.links.update(View("router", 99))
        async with asyncio.timeout(NEWS_SECONDS / 2):
            outcome = await flying

        assert outcome == Failure(FailureKind.UNAVAILABLE, "git", NO_LINK)


# --- asleep ---


async def test_a_backend_that_is_asleep_is_woken_and_waited_for() -> None:
    hands, script = Hands(), Script(DONE)
    async with fleet(1, script, wakes=True, start_timeout=5.0) as built:
        ships, built.ships = built.ships, []
        built.publish()
        hands.on_wake = lambda: asyncio.get_running_loop().call_soon(built.publish)
        flight = start(built, hands)
        built.ships = ships

        assert await flight.next() == DONE
    assert hands.woken == ["git"]


async def test_a_backend_that_does_not_wake_is_given_up_and_woken_once() -> None:
    hands = Hands()
    async with fleet(1, wakes=True, start_timeout=0.02, retry=RetrySettings(max_attempts=1)) as built:
        built.ships, ships = [], built.ships
        built.publish()
        outcome = await start(built, hands).next()
        built.ships = ships

    assert outcome == Failure(FailureKind.UNAVAILABLE, "git", ASLEEP)
    assert hands.woken == ["git"]


async def test_who_waits_in_pieces_waits_no_longer() -> None:
    """A passage looks up every now and then, to show its client a sign of life."""
    hands = Hands()
    async with fleet(1, wakes=True, start_timeout=1.0, retry=RetrySettings(max_attempts=1)) as built:
        built.ships, ships = [], built.ships
        built.publish()
        flight = start(built, hands)
        for _ in range(4):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(flight.next(), 0.01)
            hands.clock.advance(0.3)
        outcome = await flight.next()
        built.ships = ships

    assert outcome.kind is FailureKind.UNAVAILABLE
    assert hands.woken == ["git"]


# --- may have run ---


@pytest.mark.parametrize("kind", sorted(MAY_HAVE_RUN))
async def test_a_repeatable_call_is_repeated_elsewhere(kind: FailureKind) -> None:
    hands, script = Hands(), Script(kind, DONE)
    async with fleet(2, script) as built:
        assert await start(built, hands, repeatable=True).next() == DONE
        assert runs(built) == [1, 1]


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - NEVER_SENT))
async def test_no_other_call_that_may_have_run_is_repeated(kind: FailureKind) -> None:
    hands, script = Hands(), Script(kind)
    async with fleet(2, script) as built:
        assert (await start(built, hands).next()).kind is kind
        assert sum(runs(built)) == 1


async def test_a_repeatable_call_survives_the_death_of_its_replica() -> None:
    hands = Hands()
    async with fleet(2, connect_seconds=0.05) as built:
        flight = start(built, hands, repeatable=True)
        flying = asyncio.create_task(flight.next())
        await until(lambda: sum(runs(built)) == 1)
        [dying] = [ship for ship in built.ships if ship.exchanges]
        [other] = [ship for ship in built.ships if ship is not dying]
        await dying.end()
        await until(lambda: bool(other.exchanges))
        other.exchanges[0].finish(DONE)

        assert await flying == DONE
        assert flight.where.replica == other.key
        assert dying.exchanges[0].id != other.exchanges[0].id


async def test_a_call_that_its_client_has_heard_of_is_never_repeated() -> None:
    def behave(exchange: Exchange) -> None:
        exchange.emit(EventKind.PROGRESS, b'{"progress":1}')
        exchange.finish(Failure(FailureKind.DISCONNECTED, "git"))

    hands = Hands()
    async with fleet(2, behave) as built:
        flight = start(built, hands, repeatable=True)
        event, outcome = await flight.next(), await flight.next()

        assert isinstance(event, Event)
        assert outcome.kind is FailureKind.DISCONNECTED
        assert sum(runs(built)) == 1


async def test_repetitions_end_with_the_budget() -> None:
    hands, script = Hands(), Script(FailureKind.DISCONNECTED)
    async with fleet(2, script, retry=RetrySettings(budget=0.1, max_attempts=2)) as built:
        for _ in range(40):
            await start(built, hands, repeatable=True).next()

    assert len(script.exchanges) == 40 + FLOOR + 4


async def test_what_each_attempt_came_to_is_told_to_what_chooses() -> None:
    hands, script = Hands(), Script(FailureKind.DISCONNECTED, DONE)
    noted = []
    async with fleet(2, script) as built:
        built.links.note = lambda *note: noted.append(note)
        await start(built, hands, repeatable=True).next()

    assert [(type(outcome), seconds) for _, outcome, seconds in noted] == [(Failure, 0.0), (Reply, 0.0)]
    assert len({key for key, _, _ in noted}) == 2


async def test_a_call_that_its_backend_never_ends_is_told_as_such_once() -> None:
    hands = Hands()
    noted = []
    async with fleet(1) as built:
        built.links.note = lambda *note: noted.append(note)
        flight = start(built, hands)
        flying = asyncio.create_task(flight.next())
        await until(lambda: bool(built.ships[0].exchanges))
        flying.cancel()
        hands.clock.advance(65.0)
        flight.expire()
        flight.expire()
        await until(lambda: built.ships[0].cancellations == ["timeout"])

    assert noted == [(built.ships[0].key, Failure(FailureKind.TIMEOUT, "git"), 65.0)]


async def test_how_long_a_client_takes_to_answer_says_nothing_of_its_replica() -> None:
    def behave(exchange: Exchange) -> None:
        exchange.emit(EventKind.ASK, b"{}")
        exchange.finish(DONE)

    hands = Hands()
    noted = []
    async with fleet(1, behave) as built:
        built.links.note = lambda *note: noted.append(note)
        flight = start(built, hands)
        await flight.next()

        assert await flight.next() == DONE
    assert noted == []


@UNHURRIED
@given(
    fates=st.lists(st.sampled_from([*sorted(FailureKind), DONE]), min_size=1, max_size=8),
    replicas=st.integers(1, 3),
    repeatable=st.booleans(),
    attempts=st.integers(1, 4),
)
async def test_a_flight_has_one_outcome_and_no_attempt_too_many(
    fates: list[FailureKind | Reply], replicas: int, repeatable: bool, attempts: int
) -> None:
    hands, script = Hands(), Script(*fates)
    async with fleet(replicas, script, retry=RetrySettings(max_attempts=attempts)) as built:
        flight = start(built, hands, repeatable=repeatable)
        outcome = await flight.next()
        again = await flight.next()

    came_to = [each.outcome for each in script.exchanges]
    assert outcome == again == came_to[-1]
    assert len(came_to) <= attempts
    assert not any(isinstance(each, Reply) for each in came_to[:-1])
    may_have_run = [each for each in came_to[:-1] if each.kind not in NEVER_SENT]
    assert repeatable or not may_have_run
    assert all(each.kind in MAY_HAVE_RUN for each in may_have_run)


# --- what is counted ---


async def test_every_further_attempt_is_counted_by_the_failure_before_it() -> None:
    hands, script = Hands(), Script(FailureKind.BUSY, FailureKind.UNAVAILABLE, DONE)
    async with fleet(3, script) as built:
        assert await start(built, hands).next() == DONE

    assert hands.noted == [(Incident.RETRY, "git", "busy"), (Incident.RETRY, "git", "unavailable")]


async def test_a_failure_that_is_not_tried_again_is_no_retry_and_the_ejection_that_it_brings_is_counted() -> None:
    hands = Hands()
    async with fleet(2, Script(FailureKind.TIMEOUT), ejection=EjectionSettings(failures=1)) as built:
        outcome = await start(built, hands).next()

    assert isinstance(outcome, Failure)
    assert hands.noted == [(Incident.EJECTION, "git", "")]
