"""The links of an ingress: opened, opened again, closed, and chosen among."""

import asyncio
import dataclasses
import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.bus.dialer import CallerLink, LinkRefused, dial
from actors.core.breaker import State
from actors.core.last_word import FRESH_SECONDS
from actors.core.load import Load
from actors.core.membership import ReplicaKey, ReplicaState
from actors.core.outcome import Failure, FailureKind
from actors.core.traffic_settings import BalancerSettings, Balancing
from actors.core.view import BackendView, View
from serve_app.links import CONNECT_SECONDS, NEWS_SECONDS, STEADY_SECONDS, Links
from tests.support.bus import KEYS, until
from tests.support.hand_clock import HandClock
from tests.support.house import House, Plan, Replica, house, view_of


class Dialler:
    """Dials for real unless it is told to fail; keeps what it dialled."""

    def __init__(self) -> None:
        self.failing: Exception | None = None
        self.cutting = False
        self.attempts: list[str] = []
        self.links: list[CallerLink] = []

    async def __call__(self, address: str, backend: str, on_lost: Callable[[str], None]) -> CallerLink:
        self.attempts.append(address)
        if self.failing is not None:
            raise self.failing
        link = await dial(address, KEYS, backend=backend, on_closed=on_lost)
        self.links.append(link)
        if self.cutting:
            link.link.abort("cut before anybody could use it")
        return link

    @property
    def open(self) -> list[CallerLink]:
        return [link for link in self.links if not link.closed]


class Sleeps:
    """Sleeps that are over at once, and kept; after `most` of them, for ever."""

    def __init__(self, most: int = 1000) -> None:
        self.seconds: list[float] = []
        self._most = most

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0 if len(self.seconds) < self._most else 3600)


def longest() -> float:
    """Dice that give the longest wait, or as good as that."""
    return 1.0 - 2**-53


def backend_of(built: House, name: str = "git") -> BackendView:
    return view_of(built.replicas, built.plan).backends[name]


async def test_every_replica_of_the_view_gets_one_link_however_often_the_view_comes() -> None:
    async with house(Replica(), Replica(index=1), Replica("alpha")) as built:
        dialler = Dialler()
        links = Links("here", dialler, longest)
        for version in range(5):
            links.update(view_of(built.replicas, Plan(), version))
        await until(lambda: len(dialler.open) == 3)
        links.close()

    assert len(dialler.attempts) == 3
    assert dialler.open == []


async def test_what_is_gone_from_the_view_loses_its_link_and_the_rest_keep_theirs() -> None:
    async with house(Replica(), Replica("alpha")) as built:
        dialler = Dialler()
        links = Links("here", dialler, longest)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 2)

        links.update(view_of(built.replicas[:1], Plan()))

        chosen = links.choose(backend_of(built))
        assert chosen is not None
        assert dialler.open == [chosen[1]]
        assert links.choose(backend_of(built, "alpha")) is None
        links.close()


async def test_another_life_of_a_replica_gets_another_link() -> None:
    async with house(Replica()) as built:
        dialler = Dialler()
        links = Links("here", dialler, longest)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 1)

        built.replicas[0].epoch = "2"
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.links) == 2)

        assert dialler.open == dialler.links[1:]
        links.close()


async def test_replicas_on_other_nodes_are_reached_at_their_remote_address_if_they_have_one() -> None:
    async with house(Replica(), Replica(index=1)) as built:
        status = msgspec.structs.replace(built.replicas[0].status(), node="there", address="unix:/nowhere")
        far = msgspec.structs.replace(status, remote_address=built.replicas[0].address)
        hidden = msgspec.structs.replace(status, key=ReplicaKey("git", 1))
        backend = BackendView("git", 1.0, replicas=(far, hidden))
        dialler = Dialler()
        links = Links("here", dialler, longest)
        links.update(View(backends={"git": backend}))
        await until(lambda: len(dialler.open) == 1)

        assert dialler.attempts == [built.replicas[0].address]
        links.close()


async def test_a_lost_link_is_opened_again() -> None:
    async with house(Replica()) as built:
        dialler = Dialler()
        links = Links("here", dialler, longest)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 1)

        dialler.links[0].link.abort("cut")
        assert links.choose(backend_of(built)) is None
        link = await links.again(ReplicaKey("git", 0), "1")

        assert link is dialler.links[1]
        links.close()


async def test_attempts_at_a_replica_that_is_not_there_come_ever_more_seldom() -> None:
    async with house(Replica()) as built:
        dialler, sleeps = Dialler(), Sleeps(12)
        dialler.failing = ConnectionRefusedError()
        links = Links("here", dialler, longest, HandClock(), sleeps)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(sleeps.seconds) == 12)
        links.close()

    assert [round(seconds, 3) for seconds in sleeps.seconds[:4]] == [0.05, 0.1, 0.2, 0.4]
    assert sleeps.seconds == sorted(sleeps.seconds)
    assert round(sleeps.seconds[-1], 3) == 5.0


async def test_an_address_that_is_none_is_tried_like_any_other() -> None:
    async with house(Replica()) as built:
        dialler, sleeps = Dialler(), Sleeps(3)
        dialler.failing = ValueError("no address")
        links = Links("here", dialler, longest, HandClock(), sleeps)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(sleeps.seconds) == 3)
        links.close()

    assert len(dialler.attempts) == 3


async def test_a_link_that_dies_at_once_is_never_used_and_is_opened_ever_more_seldom() -> None:
    async with house(Replica()) as built:
        dialler, sleeps = Dialler(), Sleeps(8)
        dialler.cutting = True
        links = Links("here", dialler, longest, HandClock(), sleeps)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(sleeps.seconds) == 8)

        assert links.choose(backend_of(built)) is None
        links.close()

    assert sleeps.seconds == sorted(sleeps.seconds)
    assert sleeps.seconds[-1] > 10 * sleeps.seconds[0]


async def test_after_a_link_that_held_the_next_attempt_is_soon() -> None:
    async with house(Replica()) as built:
        dialler, sleeps, clock = Dialler(), Sleeps(), HandClock()
        dialler.failing = ConnectionRefusedError()
        links = Links("here", dialler, longest, clock, sleeps)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(sleeps.seconds) >= 5)
        dialler.failing = None
        await until(lambda: len(dialler.open) == 1)

        waits = len(sleeps.seconds)
        clock.advance(STEADY_SECONDS)
        dialler.links[0].link.abort("cut")
        await until(lambda: len(dialler.links) == 2)

        assert round(sleeps.seconds[waits], 3) == 0.05
        links.close()


async def test_waiting_for_a_link_ends_when_one_opens_and_not_before() -> None:
    async with house(Replica()) as built:
        dialler = Dialler()
        links = Links("here", dialler, longest)
        links.update(view_of(built.replicas, Plan()))
        assert links.choose(backend_of(built)) is None

        await asyncio.gather(*(links.wait_until(lambda: links.takes_calls(backend_of(built)), 60.0) for _ in range(50)))

        assert links.choose(backend_of(built)) is not None
        links.close()


async def test_waiting_for_a_link_has_an_end() -> None:
    async with house(Replica(), Replica("alpha", up=False)) as built:
        dialler = Dialler()
        dialler.failing = ConnectionRefusedError()
        links = Links("here", dialler, longest, connect_seconds=0.02)
        links.update(view_of(built.replicas, Plan()))

        await links.wait_until(lambda: links.takes_calls(backend_of(built)), 0.02)
        again = await links.again(ReplicaKey("git", 0), "1")
        unknown = await links.again(ReplicaKey("none", 0), "1")

        assert (again, unknown) == (None, None)
        links.close()


# --- lives that are over ---


class Burials:
    """What is told of lives that are over."""

    def __init__(self) -> None:
        self.told: list[tuple[ReplicaKey, str]] = []

    def __call__(self, key: ReplicaKey, epoch: str) -> None:
        self.told.append((key, epoch))


GIT = ReplicaKey("git", 0)


@pytest.mark.parametrize("nobody_listens", [ConnectionRefusedError(), FileNotFoundError()])
async def test_a_life_is_over_once_its_link_was_lost_and_nobody_listens(nobody_listens: OSError) -> None:
    async with house(Replica()) as built:
        dialler, burials, sleeps = Dialler(), Burials(), Sleeps(8)
        links = Links("here", dialler, longest, HandClock(), sleeps, connect_seconds=60.0, on_over=burials)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 1)
        alive = (links.epoch(GIT), links.is_over(GIT, "1"))

        dialler.failing = nobody_listens
        dialler.links[0].link.abort("killed")
        found = await links.again(GIT, "1")
        await until(lambda: len(sleeps.seconds) == 8)
        links.close()

    assert alive == ("1", False)
    assert found is None
    assert (links.epoch(GIT), burials.told) == (None, [(GIT, "1")])


@pytest.mark.parametrize("silence", [TimeoutError(), OSError("no route"), LinkRefused("not you"), ValueError("what?")])
async def test_any_other_failure_to_reach_it_proves_nothing(silence: Exception) -> None:
    async with house(Replica()) as built:
        dialler, burials, sleeps = Dialler(), Burials(), Sleeps(4)
        links = Links("here", dialler, longest, HandClock(), sleeps, on_over=burials)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 1)

        dialler.failing = silence
        dialler.links[0].link.abort("cut")
        await until(lambda: len(sleeps.seconds) == 4)

        assert (links.epoch(GIT), links.is_over(GIT, "1"), burials.told) == ("1", False, [])
        links.close()


async def test_a_life_to_which_there_never_was_a_link_may_yet_begin_to_listen() -> None:
    async with house(Replica()) as built:
        dialler, burials, sleeps = Dialler(), Burials(), Sleeps(4)
        dialler.failing = ConnectionRefusedError()
        links = Links("here", dialler, longest, HandClock(), sleeps, on_over=burials)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(sleeps.seconds) == 4)

        assert (links.epoch(GIT), burials.told) == ("1", [])
        links.close()


async def test_a_life_that_can_be_reached_after_all_is_not_over_and_may_end_once_more() -> None:
    async with house(Replica()) as built:
        dialler, burials = Dialler(), Burials()
        links = Links("here", dialler, lambda: 0.0, on_over=burials)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 1)
        for number in (1, 2):
            dialler.failing = ConnectionRefusedError()
            dialler.open[0].link.abort("cut")
            await until(lambda number=number: len(burials.told) == number)  # type: ignore[misc]
            dialler.failing = None
            await until(lambda: links.epoch(GIT) == "1")

        assert links.choose(backend_of(built)) is not None
        links.close()


async def test_the_next_life_of_a_replica_is_not_over() -> None:
    async with house(Replica()) as built:
        dialler, burials = Dialler(), Burials()
        links = Links("here", dialler, longest, on_over=burials)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 1)
        dialler.failing = ConnectionRefusedError()
        dialler.links[0].link.abort("killed")
        await until(lambda: links.is_over(GIT, "1"))

        dialler.failing = None
        built.replicas[0].epoch = "2"
        links.update(view_of(built.replicas, Plan(), 2))

        assert await links.again(GIT, "2") is not None
        assert (links.epoch(GIT), links.is_over(GIT, "1"), links.is_over(GIT, "2")) == ("2", False, False)
        links.close()


async def test_a_replica_whose_breaker_was_open_gets_a_probe_when_its_time_has_come() -> None:
    async with house(Replica(index=0), Replica(index=1)) as built:
        dialler, clock = Dialler(), HandClock()
        links = Links("here", dialler, lambda: 0.0, clock)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 2)
        broken, link = links.choose(backend_of(built), [ReplicaKey("git", 1)]) or (None, None)
        assert link is not None
        link.load = Load(0, State.OPEN, retry_after=30.0)

        before = {links.choose(backend_of(built))[0] for _ in range(5)}  # type: ignore[index]
        clock.advance(31.0)
        after = {links.choose(backend_of(built))[0] for _ in range(5)}  # type: ignore[index]
        link.load = Load(0, State.OPEN, retry_after=30.0)
        again = {links.choose(backend_of(built))[0] for _ in range(5)}  # type: ignore[index]

        assert before == again == {ReplicaKey("git", 1)}
        assert after == {broken}
        links.close()


async def test_a_replica_that_says_something_new_of_itself_is_tried_again_though_its_breaker_was_open() -> None:
    async with house(Replica(index=0), Replica(index=1)) as built:
        dialler = Dialler()
        links = Links("here", dialler, lambda: 0.0, HandClock())
        view = view_of(built.replicas, Plan())
        links.update(view)
        await until(lambda: len(dialler.open) == 2)
        broken, link = links.choose(backend_of(built), [ReplicaKey("git", 1)]) or (None, None)
        assert link is not None
        link.load = Load(0, State.OPEN, retry_after=30.0)
        refused = chosen_of(links, backend_of(built))

        links.update(view)
        still_refused = chosen_of(links, backend_of(built))
        statuses = tuple(msgspec.structs.replace(replica.status(), sequence=2) for replica in built.replicas)
        reset = dataclasses.replace(view.backends["git"], replicas=statuses)
        links.update(dataclasses.replace(view, backends={"git": reset}))

        assert refused == still_refused == {ReplicaKey("git", 1)}
        assert broken in chosen_of(links, backend_of(built))
        links.close()


async def test_a_replica_that_fails_its_calls_is_left_alone_for_a_while() -> None:
    async with house(Replica(index=0), Replica(index=1)) as built:
        dialler, clock = Dialler(), HandClock()
        links = Links("here", dialler, random.Random(1).random, clock)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 2)

        began = [links.note(ReplicaKey("git", 0), Failure(FailureKind.TIMEOUT, "git"), 1.0) for _ in range(5)]
        left_alone, named = chosen_of(links, backend_of(built)), links.ejected()
        clock.advance(30.0)

        assert began == [False] * 4 + [True]
        assert named == {"git": {"git:0"}}
        assert links.ejected() == {}
        assert left_alone == {ReplicaKey("git", 1)}
        assert chosen_of(links, backend_of(built)) == {ReplicaKey("git", 0), ReplicaKey("git", 1)}
        links.close()


async def test_what_a_call_to_a_replica_that_is_gone_came_to_is_passed_over() -> None:
    async with house(Replica()) as built:
        links = Links("here", Dialler(), longest)
        links.update(view_of(built.replicas, Plan()))
        links.update(View())

        links.note(ReplicaKey("git", 0), Failure(FailureKind.TIMEOUT, "git"), 1.0)

        assert links.choose(backend_of(built)) is None
        links.close()


async def test_calls_of_other_ingresses_count_as_load_while_the_news_is_fresh() -> None:
    async with house(Replica(index=0), Replica(index=1)) as built:
        dialler, clock = Dialler(), HandClock()
        links = Links("here", dialler, random.Random(1).random, clock)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 2)
        _, link = links.choose(backend_of(built), [ReplicaKey("git", 1)]) or (None, None)
        assert link is not None

        link.load = Load(in_flight=5)
        fresh = chosen_of(links, backend_of(built))
        clock.advance(FRESH_SECONDS)

        assert fresh == {ReplicaKey("git", 1)}
        assert chosen_of(links, backend_of(built)) == {ReplicaKey("git", 0), ReplicaKey("git", 1)}
        links.close()


@pytest.mark.parametrize(("zone", "expected"), [("", 0), ("south", 1)])
async def test_the_own_zone_is_that_of_the_node_unless_it_is_said(zone: str, expected: int) -> None:
    async with house(Replica(index=0), Replica(index=1)) as built:
        near, far = (replica.status() for replica in built.replicas)
        backend = BackendView(
            "git",
            1.0,
            replicas=(
                msgspec.structs.replace(near, zone="north"),
                msgspec.structs.replace(far, zone="south", node="there", remote_address=far.address),
            ),
        )
        dialler = Dialler()
        links = Links("here", dialler, random.Random(1).random, zone=zone)
        links.update(View(backends={"git": backend}))
        await until(lambda: len(dialler.open) == 2)

        preferring = chosen_of(links, backend)
        links.update(View(backends={"git": backend}, prefer_zone=False))

        assert preferring == {ReplicaKey("git", expected)}
        assert chosen_of(links, backend) == {ReplicaKey("git", 0), ReplicaKey("git", 1)}
        links.close()


@pytest.mark.parametrize("kind", [Balancing.ROUND_ROBIN, Balancing.WEIGHTED_RANDOM, Balancing.HASH])
async def test_replicas_get_calls_by_their_weight(kind: Balancing) -> None:
    async with house(Replica(index=0), Replica(index=1)) as built:
        one, other = (replica.status() for replica in built.replicas)
        replicas = (one, msgspec.structs.replace(other, weight=3.0))
        backend = BackendView("git", 1.0, replicas=replicas, balancer=BalancerSettings(kind=kind))
        dialler = Dialler()
        links = Links("here", dialler, random.Random(1).random)
        links.update(View(backends={"git": backend}))
        await until(lambda: len(dialler.open) == 2)

        keys = (b"key %d" % number if kind is Balancing.HASH else None for number in range(400))
        chosen = [links.choose(backend, affinity=key) for key in keys]

        assert 250 < sum(each is not None and each[0].index == 1 for each in chosen) < 350
        links.close()


async def test_a_replica_that_leaves_gets_no_new_calls_and_keeps_its_link() -> None:
    async with house(Replica()) as built:
        dialler = Dialler()
        links = Links("here", dialler, longest)
        before = view_of(built.replicas, Plan())
        links.update(before)
        await until(lambda: len(dialler.open) == 1)

        links.update(View(leaving=before.backends["git"].replicas))

        assert links.choose(before.backends["git"]) is None
        assert not links.takes_calls(before.backends["git"])
        assert links.link_to(ReplicaKey("git", 0), "1") is dialler.open[0]
        links.close()


async def test_a_replica_that_says_it_leaves_gets_no_new_calls_though_the_view_has_it_up() -> None:
    async with house(Replica(), Replica(index=1)) as built:
        dialler = Dialler()
        links = Links("here", dialler, random.Random(1).random)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 2)

        built.replicas[0].leave()
        await until(lambda: any(link.leaving for link in dialler.open))

        assert chosen_of(links, backend_of(built)) == {ReplicaKey("git", 1)}
        assert not links.takes_calls(backend_of(built), [ReplicaKey("git", 1)])
        assert links.link_to(ReplicaKey("git", 0), "1") in dialler.open
        links.close()


async def test_where_a_replica_said_that_it_leaves_a_call_waits_for_the_news_also_when_its_link_is_closed() -> None:
    async with house(Replica(), Replica("alpha")) as built:
        dialler = Dialler()
        links = Links("here", dialler, longest)
        links.update(view_of(built.replicas, Plan()))
        await until(lambda: len(dialler.open) == 2)

        before = links.patience(backend_of(built))
        built.replicas[0].leave()
        await until(lambda: any(link.leaving for link in dialler.open))
        told = links.patience(backend_of(built))
        await built.replicas[0].close()
        await until(lambda: len(dialler.open) == 1)

        assert (before, told) == (CONNECT_SECONDS, NEWS_SECONDS)
        assert links.patience(backend_of(built)) == NEWS_SECONDS
        assert links.patience(backend_of(built, "alpha")) == CONNECT_SECONDS
        links.close()


def chosen_of(links: Links, backend: BackendView) -> set[ReplicaKey]:
    return {chosen[0] for _ in range(40) if (chosen := links.choose(backend)) is not None}


CASES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.booleans(), st.sampled_from(State), st.booleans()), min_size=4, max_size=4),
        st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=2),
    ),
    min_size=1,
    max_size=20,
)


@settings(deadline=None, max_examples=20)
@given(cases=CASES)
def test_a_choice_is_up_untried_linked_and_admits_calls_if_any_does(
    cases: list[tuple[list[tuple[bool, State, bool]], list[float]]],
) -> None:
    async def choose() -> None:
        async with house(*(Replica(index=index) for index in range(4))) as built:
            throws: list[float] = []
            dialler = Dialler()
            links = Links("here", dialler, lambda: throws.pop())
            links.update(view_of(built.replicas, Plan()))
            await until(lambda: len(dialler.open) == 4)
            everywhere = backend_of(built)
            by_key = dict(chosen for index in range(4) if (chosen := links.choose(everywhere, others(index))))
            for states, dice in cases:
                throws[:] = dice
                tried = [ReplicaKey("git", index) for index, (_, _, used) in enumerate(states) if used]
                for index, (up, breaker, _) in enumerate(states):
                    built.replicas[index].state = ReplicaState.UP if up else ReplicaState.DOWN
                    by_key[ReplicaKey("git", index)].load = Load(0, breaker, retry_after=3600.0)

                chosen = links.choose(backend_of(built), tried)

                allowed = [index for index, (up, _, used) in enumerate(states) if up and not used]
                admitting = [index for index in allowed if states[index][1] is not State.OPEN]
                assert links.takes_calls(backend_of(built), tried) is bool(allowed)
                if chosen is None:
                    assert not allowed
                else:
                    assert chosen[0].index in (admitting or allowed)
                    assert chosen[1] is by_key[chosen[0]]
            links.close()

    asyncio.run(choose())


def others(index: int) -> list[ReplicaKey]:
    return [ReplicaKey("git", other) for other in range(4) if other != index]
