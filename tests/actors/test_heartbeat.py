"""How often the Router hears of a replica, and of what."""

import asyncio
from contextlib import asynccontextmanager

from actors.bus.keychain import Keychain
from actors.core.link_keys import LinkKeys
from actors.core.load import Load
from actors.core.membership import ReplicaState, Status
from actors.heartbeat import BUSY_BEATS, Heartbeat
from tests.support.backends import KEY, backend_to
from tests.support.bus import LINK_KEY, RING, link_key, until
from tests.support.control_plane import RecordingRouter
from tests.support.upstreams import handshake_server

BEAT = 0.05


class Patient:
    """A replica whose heart beats."""

    def __init__(self) -> None:
        self.router = RecordingRouter()
        self.now = Load()
        self.looks = 0
        self.keys = Keychain(RING)
        self.heart = Heartbeat(self.router, KEY, "e1", self.status, self.load, self.keys, seconds=BEAT)

    def status(self) -> Status:
        return Status(KEY, "e1", self.heart.sequence, "n1", "unix:/x", None, ReplicaState.UP)

    def load(self) -> Load:
        self.looks += 1
        return self.now

    @property
    def loads(self) -> list[Load]:
        return [load for *_, load in self.router.beats]

    async def looked(self, times: int) -> None:
        """Wait until its load was looked at so many times more."""
        wanted = self.looks + times
        await until(lambda: self.looks >= wanted)


@asynccontextmanager
async def beating():
    patient = Patient()
    patient.heart.begin()
    yield patient
    patient.heart.end()


async def test_while_nobody_calls_it_beats_at_every_fifth_look_only():
    async with beating() as patient:
        await patient.looked(4 * BUSY_BEATS)
        beats, looks = len(patient.router.beats), patient.looks

    assert beats == looks // BUSY_BEATS
    assert set(patient.loads) == {Load()}


async def test_while_there_are_calls_it_beats_at_every_look_and_once_more_when_they_are_over():
    async with beating() as patient:
        patient.now = Load(7)
        await patient.looked(5)
        busy = patient.loads[:]
        patient.now = Load()
        await patient.looked(3)
        loads = patient.loads[:]

    assert busy[:4] == [Load(7)] * 4
    assert loads.count(Load()) == 1


async def test_a_call_too_short_to_be_seen_is_told_of_as_one_in_flight():
    async with beating() as patient:
        patient.heart.called()
        await patient.looked(3)
        loads = patient.loads[:]

    assert loads[:2] == [Load(1), Load()]


async def test_a_change_is_told_at_once_and_the_load_with_it():
    async with beating() as patient:
        patient.now = Load(0, retry_after=3.0)
        patient.heart.changed()
        await until(lambda: bool(patient.router.beats))

        assert [status.sequence for status in patient.router.statuses] == [1]
        assert patient.router.beats == [(KEY, "e1", 1, Load(0, retry_after=3.0))]


async def test_a_router_that_was_gone_during_a_change_is_told_soon_after():
    async with beating() as patient:
        patient.router.gone = True
        patient.heart.changed()
        await patient.looked(2)
        patient.router.gone = False

        await until(lambda: bool(patient.router.statuses))

        assert patient.router.statuses[0].sequence == 1


async def test_once_it_is_ended_it_tells_no_more():
    async with beating() as patient:
        await patient.looked(1)
        patient.heart.end()
        patient.heart.changed()
        for _ in range(10):
            await asyncio.sleep(0)

        assert patient.router.statuses == []


async def test_the_router_hears_of_a_call_that_was_over_before_it_was_looked_for():
    async with backend_to(handshake_server(), beat_seconds=0.5) as world:
        await until(lambda: world.router.statuses[-1:] == [world.backend.status()])
        world.router.beats.clear()

        await world.call()
        await until(lambda: len(world.router.beats) >= 2)

        assert [load for *_, load in world.router.beats[:2]] == [Load(1), Load()]


async def test_weight_and_zone_are_in_what_the_router_is_told():
    async with backend_to(handshake_server(), placing={"weight": 2.5, "zone": "east"}) as world:
        await until(lambda: bool(world.router.statuses))

        assert (world.router.statuses[0].weight, world.router.statuses[0].zone) == (2.5, "east")


async def test_a_newer_link_key_is_fetched_and_the_router_told_at_once_that_it_is_here():
    async with beating() as patient:
        newer = LinkKeys((link_key(2), LINK_KEY))
        patient.router.ring = newer
        await until(lambda: 2 in patient.router.link_keys_said)

    assert patient.keys.keys == newer
    assert patient.router.link_keys_said[:2] == [1, 2], "in one breath"
