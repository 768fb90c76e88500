"""The Router publishes what Backends tell it: soon, once, never less than it must, and never the older news."""

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.core.binding import Binding
from actors.core.breaker import State
from actors.core.endpoints import StdioEndpoint
from actors.core.listing import Facts, Item, Listing
from actors.core.load import Load
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.revisions import LATEST_HANDSHAKE, Era
from actors.core.session_state import Bind, Lose, opened
from actors.core.settings import BackendSettings, Naming
from actors.core.view import View
from actors.router import GATHER_SECONDS, LOST_SECONDS, Router
from tests.support.bus import UNHURRIED
from tests.support.control_plane import RecordingMetrics
from tests.support.hand_clock import HandClock

UP, DOWN, STARTING = ReplicaState.UP, ReplicaState.DOWN, ReplicaState.STARTING
FACTS = Facts(Era.HANDSHAKE, LATEST_HANDSHAKE, b'{"name":"x"}', ("tools",))
LIMIT = 10.0


def listing(*tools: str) -> Listing:
    return Listing(tools=tuple(Item(name, b'{"name":"%b"}' % name.encode()) for name in tools))


def status(backend: str = "git", *, index: int = 0, epoch: str = "e1", sequence: int = 1, **more: Any) -> Status:
    defaults = {"node": "n", "address": "unix:/s", "remote_address": None, "state": UP}
    return Status(ReplicaKey(backend, index), epoch, sequence, **{**defaults, **more})


class World:
    """A Router, its clock, and its Metrics."""

    def __init__(self, *backends: str, replicas: int = 1, watch_seconds: float = LIMIT) -> None:
        self.clock = HandClock()
        self.metrics = RecordingMetrics()
        backend_settings = [
            BackendSettings(name=name, endpoint=StdioEndpoint(command="x"), replicas=replicas, timeout=7.0)
            for name in backends
        ]
        self.router = Router(
            backend_settings,
            Naming.QUALIFIED,
            generation="g1",
            metrics=self.metrics,
            clock=self.clock,
            watch_seconds=watch_seconds,
        )
        self.view = View()

    async def next_view(self) -> View:
        """The View after the one seen last."""
        async with asyncio.timeout(LIMIT):
            self.view = await self.router.watch(self.view.generation, self.view.version)
        return self.view

    async def nothing_new(self) -> bool:
        """Whether a watcher would still have to wait, once everything that is to be published is."""
        watching = asyncio.ensure_future(self.router.watch(self.view.generation, self.view.version))
        await asyncio.wait({watching}, timeout=0.15)
        waits = not watching.done()
        watching.cancel()
        return waits

    def tools(self) -> list[str]:
        """What clients of the aggregate see in the View seen last."""
        return list(self.view.catalogue.tools)


async def test_a_view_has_everything_an_ingress_needs():
    world = World("web", "git")
    await world.router.report(status("git", listing=listing("log"), facts=FACTS))
    await world.router.report(status("web", listing=listing("get"), state=DOWN, detail="refused"))

    view = await world.next_view()

    assert (view.generation, view.version) == ("g1", 1)
    assert list(view.backends) == ["git", "web"]
    assert view.backends["git"].replicas == (status("git", facts=FACTS),)
    assert view.backends["git"].listing == listing("log")
    assert view.backends["git"].facts == FACTS
    assert view.backends["git"].timeout == 7.0
    assert (view.backends["git"].up, view.backends["web"].up) == (True, False)
    assert view.backends["web"].detail == "refused"
    assert world.tools() == ["git__log", "web__get"]


async def test_a_watcher_wakes_at_once_with_the_next_view_only():
    world = World("git")
    await world.router.report(status(listing=listing("a")))
    await world.next_view()
    waits = await world.nothing_new()

    watching = asyncio.ensure_future(world.next_view())
    await world.router.report(status(sequence=2, listing=listing("b")))
    view = await watching

    assert waits
    assert view.version == 2
    assert world.tools() == ["git__b"]


async def test_a_watcher_of_another_generation_gets_the_view_there_is():
    world = World("git")
    await world.router.report(status())
    await world.next_view()

    view = await world.router.watch("the Router before this", 700)

    assert view is world.view


async def test_a_watch_that_has_nothing_to_tell_ends_after_a_while():
    world = World("git", watch_seconds=0.01)
    await world.router.report(status())
    while world.view.version == 0:
        await world.next_view()

    view = world.view

    assert await world.next_view() is view


async def test_changes_that_come_together_are_published_together():
    world = World("git")
    for number in range(1, 30):
        await world.router.report(status(sequence=number, listing=listing(f"t{number}")))

    await world.next_view()

    assert world.view.version == 1
    assert world.tools() == ["git__t29"]
    assert await world.nothing_new()


# --- what is published, and what is not yet ---


async def test_less_than_everything_is_held_back_until_the_others_had_time_to_speak():
    world = World("git", "web")
    await world.router.report(status("git", listing=listing("a")))
    world.clock.advance(GATHER_SECONDS - 0.1)
    world.router.look_round()
    held_back = await world.nothing_new()

    world.clock.advance(0.1)
    world.router.look_round()
    await world.next_view()

    assert held_back
    assert world.tools() == ["git__a"]
    assert list(world.view.backends) == ["git", "web"]


async def test_the_last_to_speak_is_not_waited_for_any_longer():
    world = World("git", replicas=2)
    await world.router.report(status(index=1, listing=listing("a")))
    held_back = await world.nothing_new()

    await world.router.report(status(index=0, listing=listing("a")))
    await world.next_view()

    assert held_back
    assert [replica.key.index for replica in world.view.backends["git"].replicas] == [0, 1]


async def test_a_router_that_has_heard_nobody_publishes_nothing_however_long_it_waits():
    world = World("git")

    world.clock.advance(10 * GATHER_SECONDS)
    world.router.look_round()

    assert await world.nothing_new()


async def test_once_published_changes_are_not_held_back_even_if_somebody_is_still_silent():
    world = World("git", "web")
    await world.router.report(status("git", listing=listing("a")))
    world.clock.advance(GATHER_SECONDS)
    world.router.look_round()
    await world.next_view()

    await world.router.report(status("git", sequence=2, listing=listing("b")))
    await world.next_view()

    assert world.tools() == ["git__b"]


# --- old news ---


@settings(UNHURRIED, max_examples=25)
@given(st.permutations(range(1, 7)), st.integers(0, 3))
async def test_reports_of_one_life_in_any_order_always_end_in_the_latest(order: list[int], repeated: int):
    world = World("git")
    reports = [status(sequence=number, detail=str(number), restarts=number) for number in order]

    for report in [*reports, *random.Random(repeated).choices(reports, k=repeated)]:
        await world.router.report(report)
    view = await world.next_view()

    assert view.backends["git"].replicas == (status(sequence=6, detail="6", restarts=6),)


async def test_a_former_life_does_not_come_back():
    world = World("git")
    await world.router.report(status(epoch="e1", sequence=9))
    await world.router.report(status(epoch="e2", sequence=1))

    await world.router.report(status(epoch="e1", sequence=10, state=DOWN))
    await world.next_view()

    assert world.view.backends["git"].replicas[0].epoch == "e2"


@pytest.mark.parametrize("stranger", [status("svn"), status("git", index=1), status("git", index=-1)])
async def test_a_replica_that_is_not_configured_is_ignored(stranger: Status):
    world = World("git")
    await world.router.report(stranger)
    await world.router.report(status(listing=listing("a")))

    await world.next_view()

    assert [replica.key for replica in world.view.backends["git"].replicas] == [ReplicaKey("git", 0)]
    assert list(world.view.backends) == ["git"]


# --- what a backend had stays while it is away ---


async def test_the_listing_is_kept_while_the_backend_is_away():
    world = World("git")
    await world.router.report(status(listing=listing("a"), facts=FACTS))

    await world.router.report(status(epoch="e2", state=STARTING, detail="starting"))
    await world.next_view()

    assert world.tools() == ["git__a"]
    assert world.view.backends["git"].facts == FACTS
    assert not world.view.backends["git"].up


async def test_a_replica_that_is_down_does_not_bring_old_lists_back():
    world = World("git", replicas=2)
    await world.router.report(status(index=1, state=DOWN, listing=listing("old")))
    await world.router.report(status(index=0, listing=listing("new")))

    await world.router.report(status(index=1, sequence=2, state=DOWN, listing=listing("old")))
    await world.next_view()

    assert world.tools() == ["git__new"]


async def test_after_a_restart_even_the_lists_of_a_replica_that_is_down_are_better_than_none():
    world = World("git")

    await world.router.report(status(state=DOWN, listing=listing("a")))
    await world.next_view()

    assert world.tools() == ["git__a"]


async def test_a_server_that_says_its_list_is_empty_is_believed():
    world = World("git")
    await world.router.report(status(listing=listing("a")))

    await world.router.report(status(sequence=2, listing=Listing()))
    await world.next_view()

    assert world.tools() == []


# --- signs of life ---


async def test_a_beat_is_known_only_with_the_life_and_the_number_last_reported():
    world = World("git")
    await world.router.report(status(sequence=3))
    key = ReplicaKey("git", 0)

    answers = [
        await world.router.beat(*beat, Load())
        for beat in [(key, "e1", 3), (key, "e1", 4), (key, "e2", 3), (ReplicaKey("web", 0), "e1", 3)]
    ]

    assert [answer.known for answer in answers] == [True, False, False, False]


async def test_a_replica_that_gives_no_sign_of_life_is_down_until_it_reports_again():
    world = World("git")
    await world.router.report(status(sequence=3, listing=listing("a")))
    await world.next_view()

    world.clock.advance(LOST_SECONDS + 0.1)
    world.router.look_round()
    lost = (await world.next_view()).backends["git"]
    known = await world.router.beat(ReplicaKey("git", 0), "e1", 3, Load())
    await world.router.report(status(sequence=3, listing=listing("a")))
    back = (await world.next_view()).backends["git"]

    assert not lost.up
    assert lost.detail == "it gives no sign of life"
    assert lost.listing == listing("a")
    assert not known.known
    assert back.up


async def test_a_replica_that_is_down_keeps_its_own_reason_however_silent_it_is():
    world = World("git")
    await world.router.report(status(state=DOWN, detail="no such command"))
    await world.next_view()

    world.clock.advance(10 * LOST_SECONDS)
    world.router.look_round()

    assert await world.nothing_new()
    assert world.view.backends["git"].detail == "no such command"


async def test_beats_keep_a_replica_alive():
    world = World("git")
    await world.router.report(status())
    await world.next_view()

    for _ in range(10):
        world.clock.advance(LOST_SECONDS - 1)
        await world.router.beat(ReplicaKey("git", 0), "e1", 1, Load())
        world.router.look_round()

    assert await world.nothing_new()


async def test_a_life_that_is_proved_to_be_over_is_said_to_start_again_until_the_next_one_reports():
    world = World("git")
    await world.router.report(status(listing=listing("a")))
    await world.next_view()

    await world.router.bury(ReplicaKey("git", 0), "e1")
    over = (await world.next_view()).backends["git"]
    await world.router.report(status(epoch="e2"))
    back = (await world.next_view()).backends["git"]

    assert [(each.epoch, each.state, each.detail) for each in over.replicas] == [
        ("e1", STARTING, "its process is gone")
    ]
    assert over.listing == listing("a")
    assert [(each.epoch, each.state) for each in back.replicas] == [("e2", UP)]


async def test_a_life_that_beats_after_its_burial_is_asked_to_report_and_is_up_again():
    world = World("git")
    await world.router.report(status(sequence=3))
    await world.next_view()
    await world.router.bury(ReplicaKey("git", 0), "e1")
    await world.next_view()

    known = await world.router.beat(ReplicaKey("git", 0), "e1", 3, Load())
    await world.router.report(status(sequence=3))

    assert not known.known
    assert (await world.next_view()).backends["git"].up


@pytest.mark.parametrize(("index", "epoch"), [(0, "e0"), (0, "e2"), (1, "e1")])
async def test_only_the_life_that_is_known_can_be_buried(index: int, epoch: str):
    world = World("git")
    await world.router.report(status())
    await world.next_view()

    await world.router.bury(ReplicaKey("git", index), epoch)

    assert await world.nothing_new()


async def test_a_life_is_buried_once_however_many_say_so():
    world = World("git")
    await world.router.report(status())
    await world.router.bury(ReplicaKey("git", 0), "e1")
    await world.next_view()

    await world.router.bury(ReplicaKey("git", 0), "e1")

    assert await world.nothing_new()


async def test_sessions_lose_a_life_that_is_over_and_none_that_is_up():
    world = World("git")
    session, binding = opened(b"n" * 16, "ada", b""), Binding("git", 1, 0, "e1")
    await world.router.open_session(session)
    await world.router.report(status())
    await world.router.change_session(session, Bind(binding))

    early = await world.router.change_session(session, Lose(binding))
    await world.router.bury(ReplicaKey("git", 0), "e1")
    late = await world.router.change_session(session, Lose(binding))

    assert [state.bindings for state in early.states] == [(binding,)]
    assert [state.bindings for state in late.states] == [(binding.lost,)]


# --- what Metrics is told ---


async def test_metrics_is_told_the_breaker_and_the_calls_of_the_last_beat_of_this_life_only():
    world = World("git")
    key = ReplicaKey("git", 0)
    await world.router.report(status(sequence=1))
    await world.router.beat(key, "e1", 1, Load(7, State.OPEN))
    world.router.look_round()
    told = world.metrics.observed[-1][0]

    await world.router.report(status(epoch="e2", sequence=1))
    world.router.look_round()
    (restarted,) = world.metrics.observed[-1]

    assert (told.in_flight, told.breaker) == (7, State.OPEN)
    assert (restarted.in_flight, restarted.breaker) == (0, State.CLOSED)


async def test_transitions_of_breakers_are_counted_over_the_lives_of_the_actor():
    world = World("git")
    key = ReplicaKey("git", 0)
    await world.router.report(status(epoch="e1"))
    await world.router.beat(key, "e1", 1, Load(transitions=(1, 1, 1, 0, 0, 0)))
    await world.router.beat(key, "e1", 1, Load(transitions=(2, 1, 1, 0, 0, 0)))
    world.clock.advance(LOST_SECONDS + 0.1)
    world.router.look_round()
    lost = world.metrics.observed[-1][0]

    await world.router.report(status(epoch="e2"))
    await world.router.beat(key, "e2", 1, Load())
    world.router.look_round()
    unmoved = world.metrics.observed[-1][0]
    await world.router.beat(key, "e2", 1, Load(transitions=(1, 0, 0, 0, 0, 1)))
    world.router.look_round()

    assert lost.transitions == unmoved.transitions == (2, 1, 1, 0, 0, 0)
    assert world.metrics.observed[-1][0].transitions == (3, 1, 1, 0, 0, 1)


async def test_refused_links_are_counted_over_the_lives_of_the_actor():
    world = World("git")
    key = ReplicaKey("git", 0)
    await world.router.report(status(epoch="e1"))
    await world.router.beat(key, "e1", 1, Load(), refused=(1, 0, 0, 0))
    await world.router.beat(key, "e1", 1, Load(), refused=(2, 1, 0, 0))
    await world.router.report(status(epoch="e2"))
    await world.router.beat(key, "e2", 1, Load(), refused=(0, 0, 0, 3))
    world.router.look_round()

    assert world.metrics.observed[-1][0].refused == (2, 1, 0, 3)


async def test_restarts_are_counted_over_the_lives_of_the_actor():
    world = World("git")
    await world.router.report(status(epoch="e1", restarts=2))
    await world.router.report(status(epoch="e2", restarts=0))
    await world.router.report(status(epoch="e2", sequence=2, restarts=1, listing=listing("a", "b")))
    await world.router.report(status(epoch="e3", restarts=4, state=DOWN))

    world.router.look_round()

    (facts,) = world.metrics.observed[-1]
    assert (facts.backend, facts.replica, facts.up) == ("git", 0, False)
    assert facts.restarts == (2 + 1) + (1 + 1) + 4
    assert facts.tools == 2
