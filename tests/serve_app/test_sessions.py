"""An ingress replica's sessions: with the Router, without it, and after it was away."""

import asyncio

import pytest
from structlog.testing import capture_logs

from actors.core.session_book import Opening
from actors.core.session_state import MAX_SUBSCRIPTIONS, SessionState
from actors.refs.gone import ActorGone
from actors.router import GATHER_SECONDS
from serve_app.sessions import PAUSE_SECONDS, TOUCH_SECONDS, UNKNOWN_SECONDS, Sessions
from tests.support.bus import until
from tests.support.hand_clock import HandClock
from tests.support.hand_sleep import HandSleep
from tests.support.session_router import IDLE_SECONDS, Heard, SessionRouter

ALICE = "\0alice"
LIMIT = 10.0


def nonce(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Replica:
    """One ingress replica, as far as sessions go."""

    def __init__(self, router: SessionRouter, *, time_limit: float = LIMIT, max_states: int = 1000) -> None:
        self.heard = Heard()
        self.sessions = Sessions(
            router.find,
            self.heard,
            idle_seconds=IDLE_SECONDS,
            clock=router.clock,
            time_limit=time_limit,
            max_states=max_states,
        )

    async def find(self, number: int) -> SessionState | None:
        return await self.sessions.find(nonce(number), ALICE)

    async def opened(self, *numbers: int) -> None:
        for number in numbers:
            assert await self.sessions.open(nonce(number), ALICE, b'{"name":"c"}')


async def settled_router(**more: int) -> SessionRouter:
    """A Router that is past its gathering."""
    router = SessionRouter(HandClock(), **more)
    router.clock.advance(GATHER_SECONDS)
    return router


async def lose(router: SessionRouter, replica: Replica) -> None:
    """The Router goes away, and the replica has noticed."""
    router.away = True
    following = asyncio.create_task(replica.sessions.follow(HandSleep(HandClock())))
    await until(lambda: not replica.sessions._reachable)
    following.cancel()


# --- with the Router ---


async def test_a_session_opened_at_one_replica_is_found_at_another_without_asking_again() -> None:
    router = await settled_router()
    here, there = Replica(router), Replica(router)
    await here.opened(1)

    found = [await there.find(1) for _ in range(5)]

    assert [each.client_info for each in found if each is not None] == [b'{"name":"c"}'] * 5
    assert router.calls == ["open", "find"]


async def test_who_reads_the_news_need_not_even_ask_once() -> None:
    router = await settled_router()
    here, there = Replica(router), Replica(router)
    await here.opened(1)
    await there.sessions.read_news()

    found = await there.find(1)

    assert found is not None
    assert router.calls == ["open"]


async def test_changes_reach_the_other_replica_and_whoever_keeps_a_stream_open_there() -> None:
    router = await settled_router()
    here, there = Replica(router), Replica(router)
    await here.opened(1)
    await there.sessions.read_news()

    assert await here.sessions.set_level(nonce(1), "debug")
    assert await here.sessions.subscribe(nonce(1), "file:///a")
    assert await here.sessions.subscribe(nonce(1), "file:///b")
    assert await here.sessions.unsubscribe(nonce(1), "file:///a")
    await there.sessions.read_news()

    own, other = await here.find(1), await there.find(1)
    assert own is not None
    assert (own.log_level, own.subscriptions) == ("debug", ("file:///b",))
    assert other == own
    assert there.heard.changes[-1] == (nonce(1), own)


async def test_an_end_is_an_end_at_every_replica() -> None:
    router = await settled_router()
    here, there, late = Replica(router), Replica(router), Replica(router)
    await here.opened(1)
    await there.sessions.read_news()

    await here.sessions.end(nonce(1))
    await there.sessions.read_news()

    assert [await each.find(1) for each in (here, there, late)] == [None] * 3
    assert here.heard.ended == there.heard.ended == [nonce(1)]
    assert not await here.sessions.set_level(nonce(1), "debug")
    assert not await there.sessions.subscribe(nonce(1), "file:///a")


async def test_a_change_of_a_session_whose_end_was_not_heard_yet_finds_out() -> None:
    router = await settled_router()
    here, there = Replica(router), Replica(router)
    await here.opened(1)
    await there.sessions.read_news()
    await here.sessions.end(nonce(1))

    assert not await there.sessions.set_level(nonce(1), "debug")
    assert await there.find(1) is None
    assert there.heard.ended == [nonce(1)]


async def test_a_subscription_too_many_is_refused() -> None:
    router = await settled_router()
    here = Replica(router)
    await here.opened(1)

    admitted = [await here.sessions.subscribe(nonce(1), f"file:///{number}") for number in range(MAX_SUBSCRIPTIONS + 1)]

    assert admitted == [True] * MAX_SUBSCRIPTIONS + [False]


async def test_a_session_the_router_does_not_know_is_asked_for_once_in_a_while() -> None:
    router = await settled_router()
    here = Replica(router)

    unknown = [await here.find(1) for _ in range(5)]
    router.clock.advance(UNKNOWN_SECONDS)
    await here.find(1)

    assert unknown == [None] * 5
    assert router.calls == ["find", "find"]


async def test_the_first_requests_of_a_session_ask_once_together() -> None:
    router = await settled_router()
    here, there = Replica(router), Replica(router)
    await here.opened(1)

    found = await asyncio.gather(*(there.find(1) for _ in range(100)))

    assert None not in found
    assert router.calls == ["open", "find"]


async def test_a_gateway_with_too_many_sessions_opens_no_other() -> None:
    router = await settled_router()
    router.book._max_total = 1
    here = Replica(router)
    await here.opened(1)

    assert not await here.sessions.open(nonce(2), "\0bob")
    assert await here.find(2) is None


async def test_a_session_that_makes_room_for_another_of_its_owner_ends_everywhere() -> None:
    router = await settled_router(max_sessions=2)
    here = Replica(router)

    await here.opened(1, 2, 3)
    await here.sessions.read_news()

    assert [await here.find(number) is not None for number in (1, 2, 3)] == [False, True, True]


async def test_only_the_sessions_used_last_are_kept_and_the_router_knows_the_others() -> None:
    router = await settled_router()
    here = Replica(router, max_states=2)
    await here.opened(1, 2)
    await here.find(1)
    await here.opened(3)
    router.calls.clear()

    found = [await here.find(number) for number in (1, 3, 2)]

    assert None not in found
    assert router.calls == ["find"]


# --- use ---


async def test_sessions_in_use_are_reported_together_now_and_then() -> None:
    router = await settled_router()
    here = Replica(router)
    await here.opened(1, 2, 3)
    sleep = HandSleep(router.clock)
    running = asyncio.create_task(here.sessions.run(sleep))
    router.calls.clear()

    for rounds in range(300):
        await until(lambda rounds=rounds: len(sleep.taken) > rounds)
        here.sessions.touch(nonce(1))
        here.sessions.touch(nonce(2))
        sleep.wake()
        router.desk.look_round()
    await until(lambda: len(sleep.taken) > 300)
    running.cancel()

    assert set(sleep.taken) == {TOUCH_SECONDS}
    assert set(router.calls) == {"touch"}
    assert [router.book.find(nonce(number)) is not None for number in (1, 2, 3)] == [True, True, False]


async def test_where_sessions_end_soon_they_are_reported_sooner() -> None:
    sleep = HandSleep(HandClock())
    sessions = Sessions(SessionRouter(HandClock()).find, Heard(), idle_seconds=2.0)

    running = asyncio.create_task(sessions.run(sleep))
    await until(lambda: bool(sleep.taken))
    running.cancel()

    assert sleep.taken == [0.5]


async def test_a_use_that_could_not_be_reported_is_reported_next_time() -> None:
    router = await settled_router()
    here = Replica(router)
    await here.opened(1, 2)
    router.clock.advance(IDLE_SECONDS - 1)
    here.sessions.touch(nonce(1))
    router.away = True
    await here.sessions.report()
    router.away = False

    await here.sessions.report()
    router.clock.advance(2)
    router.desk.look_round()

    assert [router.book.find(nonce(number)) is not None for number in (1, 2)] == [True, False]


async def test_what_is_no_session_is_not_reported() -> None:
    router = await settled_router()
    here = Replica(router)

    here.sessions.touch(nonce(1))
    await here.sessions.report()

    assert router.calls == []


# --- without the Router ---


async def test_without_the_router_sessions_are_opened_changed_and_ended_and_it_is_told_when_it_is_back() -> None:
    router = await settled_router()
    here, there = Replica(router), Replica(router)
    await here.opened(3)
    await there.sessions.read_news()
    await lose(router, here)

    await here.opened(1, 2)
    assert await here.sessions.subscribe(nonce(1), "file:///a")
    assert await here.sessions.set_level(nonce(3), "debug")
    await here.sessions.end(nonce(2))
    router.away = False
    await here.sessions.read_news()
    await there.sessions.read_news()

    assert [await there.find(number) for number in (1, 2, 3)] == [await here.find(number) for number in (1, 2, 3)]
    one, two, three = [await there.find(number) for number in (1, 2, 3)]
    assert one is not None
    assert one.subscriptions == ("file:///a",)
    assert two is None
    assert three is not None
    assert three.log_level == "debug"


async def test_a_replica_that_ends_tells_the_router_what_it_could_not_be_told_before() -> None:
    router = await settled_router()
    here, there = Replica(router), Replica(router)
    await lose(router, here)
    await here.opened(1)
    router.away = False

    await here.sessions.close()

    assert await there.find(1) == await here.find(1)
    assert await there.find(1) is not None


async def test_without_the_router_a_verified_id_is_a_session() -> None:
    router = await settled_router()
    here = Replica(router)
    await lose(router, here)

    found = await here.find(1)

    assert found == SessionState(nonce(1), ALICE)
    assert router.calls == []


async def test_a_router_that_hangs_keeps_nobody_for_longer_than_the_limit() -> None:
    router = await settled_router()
    here = Replica(router, time_limit=0.01)
    router.hangs = True

    async with asyncio.timeout(LIMIT):
        opened = await here.sessions.open(nonce(1), ALICE)
        found = await here.find(2)
        changed = await here.sessions.set_level(nonce(2), "debug")
        await here.sessions.end(nonce(1))

    assert (opened, changed) == (Opening.OPENED, True)
    assert found is not None
    assert await here.find(1) is None


async def test_a_session_the_router_has_not_heard_of_can_be_changed_as_soon_as_it_listens() -> None:
    router = await settled_router()
    here = Replica(router, time_limit=0.01)
    router.hangs = True
    await here.opened(1)
    router.hangs = False

    assert await here.sessions.set_level(nonce(1), "debug")
    assert router.book.find(nonce(1)) == await here.find(1)


async def test_the_absence_of_the_router_is_logged_once_and_so_is_its_return() -> None:
    router = await settled_router()
    here = Replica(router)
    router.away = True
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        router.away = len(pauses) < 3
        await asyncio.sleep(0)

    with capture_logs() as logs:
        following = asyncio.create_task(here.sessions.follow(sleep))
        await until(lambda: len(pauses) == 3 and here.sessions._reachable)
        following.cancel()

    assert set(pauses) == {PAUSE_SECONDS}
    assert [entry["event"] for entry in logs] == ["sessions_not_followed", "sessions_followed"]


# --- a Router that restarts ---


async def test_a_restarted_router_learns_every_session_that_any_replica_knows_and_every_end() -> None:
    router = await settled_router(max_changes=10)
    here, there = Replica(router, max_states=5000), Replica(router, max_states=5000)
    for number in range(2500):
        await (here if number % 2 else there).sessions.open(nonce(number), f"\0{number % 50}")
    await here.sessions.set_level(nonce(7), "debug")
    await there.sessions.end(nonce(8))
    router.restart()

    for _ in range(3):
        await here.sessions.read_news()
        await there.sessions.read_news()

    assert len(router.book) == 2499
    seventh = await there.sessions.find(nonce(7), ALICE)
    assert seventh is not None
    assert seventh.log_level == "debug"
    assert await here.sessions.find(nonce(8), ALICE) is None


async def test_a_router_that_has_just_started_ends_no_session_it_was_not_told_of_yet() -> None:
    router = await settled_router()
    here, there = Replica(router), Replica(router)
    await here.opened(1)
    await here.sessions.set_level(nonce(1), "debug")
    router.restart()

    early = await there.find(1)
    await here.sessions.read_news()
    await there.sessions.read_news()

    assert early == SessionState(nonce(1), ALICE)
    assert await there.find(1) == await here.find(1)
    assert router.book.find(nonce(1)) == await here.find(1)
    assert (await here.find(1) or early).log_level == "debug"


async def test_a_change_just_after_a_restart_is_not_lost() -> None:
    router = await settled_router()
    here = Replica(router)
    await here.opened(1)
    router.restart()

    assert await here.sessions.set_level(nonce(1), "debug")
    await here.sessions.read_news()

    known = router.book.find(nonce(1))
    assert known is not None
    assert (known.log_level, known.client_info) == ("debug", b'{"name":"c"}')


async def test_an_end_that_one_replica_has_not_heard_of_outlives_the_router() -> None:
    router = await settled_router()
    here, there = Replica(router), Replica(router)
    await here.opened(1)
    await there.sessions.read_news()
    await here.sessions.end(nonce(1))
    router.restart()

    await there.sessions.read_news()
    await here.sessions.read_news()
    await there.sessions.read_news()

    assert router.book.find(nonce(1)) is None
    assert await there.find(1) is None


async def test_a_telling_that_was_cut_off_is_made_good_and_no_news_is_missed() -> None:
    router = await settled_router()
    here, there = Replica(router, time_limit=0.01), Replica(router)
    await here.opened(1)
    await here.sessions.read_news()
    router.restart()
    router.hangs = True
    with pytest.raises(ActorGone):
        await here.sessions.read_news()
    router.hangs = False
    await there.opened(2)

    await here.sessions.read_news()

    assert router.book.find(nonce(1)) is not None
    assert nonce(2) in dict(here.heard.changes)


# --- too far behind ---


async def test_a_replica_that_missed_too_much_asks_what_became_of_its_sessions() -> None:
    router = await settled_router(max_changes=3)
    here, there = Replica(router), Replica(router)
    await here.opened(1, 2)
    await there.sessions.read_news()

    await here.sessions.end(nonce(1))
    await here.sessions.set_level(nonce(2), "debug")
    await here.opened(3, 4, 5)
    router.calls.clear()
    await there.sessions.read_news()

    assert router.calls == ["find"]
    assert there.heard.ended == [nonce(1)]
    assert await there.find(1) is None
    assert await there.find(2) == await here.find(2)


async def test_a_replica_that_follows_hears_within_moments() -> None:
    router = SessionRouter(HandClock(), watch_seconds=LIMIT)
    here, there = Replica(router), Replica(router)
    following = [asyncio.create_task(each.sessions.follow()) for each in (here, there)]

    await here.opened(1)
    await until(lambda: nonce(1) in dict(there.heard.changes))
    await there.sessions.end(nonce(1))
    await until(lambda: here.heard.ended == [nonce(1)])
    for task in following:
        assert not task.done()
        task.cancel()

    assert await here.find(1) is None
