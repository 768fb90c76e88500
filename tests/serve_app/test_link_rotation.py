"""Link keys are made when they are due, get everywhere, and no call notices."""

import asyncio
from dataclasses import replace

import pytest

from actors.core.link_keys import MAX_KEYS, LinkKeys
from actors.core.outcome import Reply
from actors.refs.gone import ActorGone
from serve_app.link_rotation import LOOK_SECONDS, LinkRotation
from tests.support.backends import outcome_of
from tests.support.bus import link_key, until
from tests.support.hand_clock import HandClock
from tests.support.hand_sleep import HandSleep
from tests.support.linked_gateway import SETTINGS, LinkedGateway, linked_gateway

CALLERS = 8


class Spreader:
    """A Router, as far as keys go."""

    def __init__(self) -> None:
        self.told: list[LinkKeys] = []
        self.asked = 0
        self.gone = False

    async def knows_link_key(self, number: int) -> bool:
        self.asked += 1
        if self.gone:
            raise ActorGone("RayActorError")
        return bool(self.told) and self.told[-1].number >= number

    async def tell_link_keys(self, keys: LinkKeys) -> None:
        self.told.append(keys)


class Command:
    """The command, whose time passes by hand."""

    def __init__(self, seconds: float) -> None:
        self.clock = HandClock()
        self.sleep = HandSleep(self.clock)
        self.router = Spreader()
        self.rotation = LinkRotation(self.router, seconds, make=link_key, clock=self.clock, sleep=self.sleep)

    async def look(self) -> None:
        """Let it look once more."""
        asked = self.router.asked
        await until(lambda: bool(self.sleep.asleep))
        self.sleep.wake()
        await until(lambda: self.router.asked > asked and bool(self.sleep.asleep))


async def test_a_router_is_told_the_first_key_once() -> None:
    command = Command(100.0)

    await command.rotation.begin()
    await command.rotation.look()

    assert [keys.number for keys in command.router.told] == [1]


async def test_a_gateway_does_not_start_without_a_router_to_tell() -> None:
    command = Command(100.0)
    command.router.gone = True

    with pytest.raises(ActorGone):
        await command.rotation.begin()


@pytest.mark.parametrize(("seconds", "numbers"), [(3 * LOOK_SECONDS, [1, 2, 3]), (0.0, [1])])
async def test_a_key_is_made_whenever_the_newest_is_so_old_and_never_if_it_lasts_for_ever(
    seconds: float, numbers: list[int]
) -> None:
    command = Command(seconds)
    await command.rotation.begin()
    following = asyncio.create_task(command.rotation.follow())

    for _ in range(7):
        await command.look()
    following.cancel()

    assert [keys.number for keys in command.router.told] == numbers
    assert [key.number for key in command.router.told[-1].keys] == numbers[::-1]


async def test_a_router_that_has_forgotten_is_told_all_again_even_if_it_was_gone_in_between() -> None:
    command = Command(0.0)
    await command.rotation.begin()
    following = asyncio.create_task(command.rotation.follow())

    command.router.told.clear()
    command.router.gone = True
    await command.look()
    command.router.gone = False
    await command.look()
    following.cancel()

    assert command.router.told == [command.rotation.keys]


# --- everywhere ---


async def called_all_the_time(gateway: LinkedGateway, stop: asyncio.Event) -> list[str]:
    """Call and call again until told to stop; what was wrong with each answer, or nothing."""
    found: list[str] = []
    while not stop.is_set():
        found.append(await gateway.call(len(found)))
    return found


def all_renewed(gateway: LinkedGateway, number: int) -> bool:
    links = gateway.open
    return len(links) == SETTINGS.replicas and all(link.key_number == number for link in links)


async def test_over_four_rotations_and_a_new_router_no_call_fails_and_every_link_is_opened_anew() -> None:
    async with linked_gateway() as gateway:
        stop = asyncio.Event()
        callers = [asyncio.create_task(called_all_the_time(gateway, stop)) for _ in range(CALLERS)]
        first = gateway.open
        for _ in range(2):
            number = await gateway.rotate()
            await until(lambda number=number: all_renewed(gateway, number))
        await gateway.restart_router()
        for _ in range(2):
            number = await gateway.rotate()
            await until(lambda number=number: all_renewed(gateway, number))
        stop.set()
        answers = [answer for caller in callers for answer in await caller]

        assert number == 5
        assert all(link.closed for link in first)
        assert [len(keys.keys.keys) for keys in gateway.keychains] == [MAX_KEYS] * SETTINGS.replicas

    assert len(answers) > CALLERS * 4
    assert set(answers) == {""}


async def test_nobody_dials_with_a_key_before_every_replica_has_it() -> None:
    async with linked_gateway() as gateway:
        held: list[tuple[int, ...]] = []
        adopt = gateway.ingress_keys.adopt

        def watched(keys: LinkKeys) -> None:
            if keys.number > gateway.ingress_keys.keys.number:
                held.append((keys.number, *(each.keys.number for each in gateway.keychains)))
            adopt(keys)

        gateway.ingress_keys.adopt = watched  # type: ignore[method-assign]
        for _ in range(3):
            await gateway.rotate()

    assert held == [(2, 2, 2), (3, 3, 3), (4, 4, 4)]


async def test_a_link_that_is_read_is_not_closed_before_the_reader_has_its_outcome() -> None:
    async with linked_gateway() as gateway:
        busy, idle = gateway.open
        attachment = gateway.hold(busy)
        await until(lambda: gateway.holding)

        number = await gateway.rotate()
        await until(lambda: idle.closed)
        links = gateway.open
        gateway.release()

        assert [link.key_number for link in links if link is not busy] == [number] * SETTINGS.replicas
        assert isinstance(await outcome_of(attachment), Reply)
        await until(lambda: busy.closed)


async def test_a_link_that_could_not_be_renewed_stays_and_is_renewed_later() -> None:
    async with linked_gateway() as gateway:
        gateway.failing = 3
        number = await gateway.rotate()
        await until(lambda: not gateway.failing and all_renewed(gateway, number))

        assert await gateway.call(1) == ""


async def test_a_replica_that_has_not_fetched_the_newest_key_keeps_its_link() -> None:
    async with linked_gateway() as gateway:
        first = gateway.open
        ahead = gateway.rotation.keys.with_next(link_key(2))
        gateway.see(replace(gateway.outlook.view, link_keys=ahead))
        await until(lambda: len(gateway.dialled) >= 2 * SETTINGS.replicas)
        answers = [await gateway.call(number) for number in range(10)]

        assert set(answers) == {""}
        assert not any(link.closed for link in first)
