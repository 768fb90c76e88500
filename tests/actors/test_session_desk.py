"""The Router's desk for sessions: who follows hears soon, and a Router that has just started ends nobody's session."""

import asyncio
import math
from collections.abc import Collection

from structlog.testing import capture_logs

from actors.core.binding import Binding
from actors.core.session_book import Opening, SessionBook
from actors.core.session_state import Bind, Found, Lose, SessionState, SetLevel, opened
from actors.core.settings import Naming, ServerSettings
from actors.core.tokens.revocations import Credential, Revocation, Revocations, Target
from actors.router import GATHER_SECONDS, Router
from actors.session_desk import LOSS_SECONDS, SessionDesk
from tests.support.control_plane import RecordingMetrics
from tests.support.hand_clock import HandClock

LIMIT = 10.0
IDLE = 60.0
ONE = opened(b"1" * 16, "alice", b"{}")
TWO = opened(b"2" * 16, "bob", b"{}")


def desk_of(
    clock: HandClock, *, watch_seconds: float = LIMIT, gather_seconds: float = 0.0, living: Collection[str] = ()
) -> SessionDesk:
    return SessionDesk(
        "g1",
        SessionBook(idle_seconds=IDLE, max_sessions=10),
        gather_seconds=gather_seconds,
        watch_seconds=watch_seconds,
        clock=clock,
        stands=lambda binding: binding.epoch in living,
    )


async def test_a_follower_wakes_soon_and_hears_once_of_changes_that_come_together() -> None:
    desk = desk_of(HandClock())
    following = asyncio.ensure_future(desk.news("g1", 0))
    await asyncio.sleep(0)

    desk.open(ONE)
    desk.open(TWO)
    desk.change(ONE, SetLevel("debug"))
    news = await asyncio.wait_for(following, LIMIT)

    assert [(state.nonce, state.log_level) for state in news.states] == [(TWO.nonce, None), (ONE.nonce, "debug")]
    assert news.version == 3


async def test_an_end_wakes_every_follower() -> None:
    desk = desk_of(HandClock())
    desk.open(ONE)
    following = [asyncio.ensure_future(desk.news("g1", 1)) for _ in range(3)]
    await asyncio.sleep(0)

    desk.tell((), (ONE.nonce,))

    assert [news.ended for news in await asyncio.gather(*following)] == [(ONE.nonce,)] * 3


async def test_a_revocation_wakes_followers_and_is_in_force_for_sessions_that_come_later() -> None:
    desk = desk_of(HandClock())
    revocations = Revocations("m", (Revocation(Target.SUBJECT, "alice", before=10.0),))
    early, late = (opened(name * 16, "alice", b"{}", Credential("alice", "", issued_at=9.0)) for name in (b"3", b"4"))
    desk.open(early)
    desk.open(TWO)
    following = asyncio.ensure_future(desk.news("g1", 2))
    await asyncio.sleep(0)

    desk.revoke(revocations)
    news = await asyncio.wait_for(following, LIMIT)
    desk.open(late)
    desk.tell((early,), ())

    assert news.ended == (early.nonce,)
    assert desk.find((early, late, TWO)) == Found((TWO,), (early.nonce, late.nonce))


async def test_news_that_has_nothing_to_tell_ends_after_a_while() -> None:
    desk = desk_of(HandClock(), watch_seconds=0.01)

    news = await asyncio.wait_for(desk.news("g1", 0), LIMIT)

    assert (news.version, news.states, news.ended, news.reset) == (0, (), (), False)


async def test_who_followed_another_router_hears_at_once_of_this_one_from_its_beginning() -> None:
    desk = desk_of(HandClock())
    empty = await asyncio.wait_for(desk.news("g0", 700), LIMIT)
    desk.open(ONE)

    news = await asyncio.wait_for(desk.news("g0", 700), LIMIT)

    assert (empty.generation, empty.version) == ("g1", 0)
    assert news.states == (ONE,)


async def test_a_desk_that_has_just_opened_believes_who_asks_for_a_session_and_later_does_not() -> None:
    clock = HandClock()
    desk = desk_of(clock, gather_seconds=8.0)
    asked = SessionState(ONE.nonce, "alice")
    early = desk.find([asked])
    desk.tell((), (TWO.nonce,))
    ended = desk.find([TWO])
    clock.advance(8.0)

    late = desk.find([asked, SessionState(b"3" * 16, "carol"), TWO])

    assert early == Found((asked,), ())
    assert ended == Found((), (TWO.nonce,))
    assert late == Found((asked,), (b"3" * 16, TWO.nonce))


async def test_a_change_is_found_and_a_change_of_what_ended_is_none() -> None:
    desk = desk_of(HandClock())
    desk.open(ONE)

    changed = desk.change(ONE, SetLevel("error"))
    unknown = desk.change(TWO, SetLevel("error"))

    assert [state.log_level for state in changed.states] == ["error"]
    assert unknown == Found((), (TWO.nonce,))


async def test_of_two_who_bind_a_session_the_second_hears_what_the_first_has_done() -> None:
    desk = desk_of(HandClock())
    desk.open(ONE)
    first, second = Binding("git", 1, 0, "e1"), Binding("git", 1, 1, "e1")

    answers = [desk.change(ONE, Bind(binding)) for binding in (first, second)]

    assert [[state.bindings for state in found.states] for found in answers] == [[(first,)], [(first,)]]


async def test_nobody_loses_a_replica_that_is_known_to_live() -> None:
    living = {"e1"}
    desk = desk_of(HandClock(), living=living)
    desk.open(ONE)
    binding = Binding("git", 1, 0, "e1")
    desk.change(ONE, Bind(binding))

    early = desk.change(ONE, Lose(binding))
    living.clear()
    late = desk.change(ONE, Lose(binding))

    assert [state.bindings for state in early.states] == [(binding,)]
    assert [state.bindings for state in late.states] == [(binding.lost,)]


async def test_whoever_has_proof_is_believed_of_a_replica_that_is_known_to_live() -> None:
    desk = desk_of(HandClock(), living={"e1"})
    desk.open(ONE)
    binding = Binding("git", 1, 0, "e1")
    desk.change(ONE, Bind(binding))

    lost = desk.change(ONE, Lose(binding, certain=True))

    assert [state.bindings for state in lost.states] == [(binding.lost,)]


async def test_who_comes_late_with_a_loss_hears_for_how_long_it_has_been_known() -> None:
    clock = HandClock()
    desk = desk_of(clock)
    desk.open(ONE)
    binding = Binding("git", 1, 0, "e1")
    desk.change(ONE, Bind(binding))

    known = [desk.change(ONE, Lose(binding)).lost_for]
    clock.advance(1.5)
    known.append(desk.change(ONE, Lose(binding)).lost_for)
    desk.change(ONE, Bind(Binding("git", 3, 1, "e2")))
    clock.advance(1.0)
    known.append(desk.change(ONE, Lose(binding)).lost_for)
    clock.advance(LOSS_SECONDS)
    known.append(desk.change(ONE, Lose(binding)).lost_for)

    assert known == [None, 1.5, 2.5, math.inf]
    assert [state.bindings for state in desk.find([ONE]).states] == [(Binding("git", 3, 1, "e2"),)]


async def test_a_change_is_not_lost_on_a_desk_that_has_just_opened() -> None:
    desk = desk_of(HandClock(), gather_seconds=8.0)

    changed = desk.change(ONE, SetLevel("error"))

    assert [(state.client_info, state.log_level) for state in changed.states] == [(b"{}", "error")]


async def test_sessions_that_nobody_uses_end_and_those_in_use_do_not() -> None:
    clock = HandClock()
    desk = desk_of(clock)
    desk.open(ONE)
    desk.open(TWO)
    clock.advance(IDLE - 1)
    desk.touch([TWO.nonce])
    clock.advance(1)

    with capture_logs() as logs:
        desk.look_round()

    assert desk.find([ONE, TWO]) == Found((TWO,), (ONE.nonce,))
    assert [(entry["event"], entry["ended"]) for entry in logs] == [("sessions_expired", 1)]


async def test_the_router_keeps_sessions_within_the_limits_of_its_server() -> None:
    clock = HandClock()
    router = Router(
        [],
        Naming.QUALIFIED,
        generation="g1",
        metrics=RecordingMetrics(),  # type: ignore[arg-type]
        server=ServerSettings(max_sessions=1, session_idle_seconds=5.0),
        clock=clock,
        watch_seconds=LIMIT,
    )
    other = opened(b"9" * 16, "alice", b"{}")
    clock.advance(GATHER_SECONDS)

    admitted = [await router.open_session(state) for state in (ONE, TWO, other)]
    changed = await router.change_session(other, SetLevel("debug"))
    clock.advance(4.0)
    await router.touch_sessions([other.nonce])
    clock.advance(1.0)
    router.look_round()
    found = await router.find_sessions([ONE, TWO, other])
    await router.tell_sessions((), (other.nonce,))
    news = await asyncio.wait_for(router.session_news("g1", 0), LIMIT)

    assert admitted == [Opening.OPENED] * 3
    assert found == Found(changed.states, (ONE.nonce, TWO.nonce))
    assert set(news.ended) == {ONE.nonce, TWO.nonce, other.nonce}


async def test_a_router_that_is_only_followed_looks_round_too() -> None:
    router = Router(
        [],
        Naming.QUALIFIED,
        generation="g1",
        metrics=RecordingMetrics(),  # type: ignore[arg-type]
        server=ServerSettings(session_idle_seconds=0.01),
        watch_seconds=LIMIT,
    )
    await router.open_session(ONE)

    news = await router.session_news("g1", 0)
    heard = await asyncio.wait_for(router.session_news("g1", news.version), LIMIT)

    assert heard.ended == (ONE.nonce,)
