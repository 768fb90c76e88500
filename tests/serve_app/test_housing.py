"""Who is given which process, and when that ends."""

import asyncio
from typing import Any

import pytest

from actors.core.endpoints import StdioEndpoint
from actors.core.membership import ReplicaKey
from actors.core.packing import Packing
from actors.core.roster import Berth, Roster
from actors.core.settings import BackendSettings
from actors.core.traffic_settings import ResourceSettings
from actors.refs.gone import ActorGone
from serve_app.housing import Housing


class House:
    """Stands where the Router and Ray would, and writes down what they are asked."""

    def __init__(self, packing: Packing) -> None:
        self.log: list[tuple[str, ...]] = []
        self.router_away = 0
        """How often the Router cannot be reached."""
        self.unknown = 0
        """How often the Router was not told yet what there shall be."""
        self.refuses = ""
        """Which backend Ray does not take."""
        self.dead: set[str] = set()
        """Whose processes are dead for good."""
        router: Any = self
        self.housing = Housing(packing, router, self._start_backend, self._start_host, lambda: 1.0)

    async def house(self, key: ReplicaKey, host: str) -> bool:
        if self.router_away:
            self.router_away -= 1
            raise ActorGone("RayActorError")
        if self.unknown:
            self.unknown -= 1
            return False
        self.log.append(("housed", str(key), host))
        return True

    def _start_backend(self, berth: Berth, host: Any) -> Any:
        if berth.key.backend == self.refuses:
            raise ValueError("no such label")
        self.log.append(("started", str(berth.key), "" if host is None else host.name))
        return Ref(self.log, berth.key, self.dead)

    def _start_host(self, name: str) -> Any:
        self.log.append(("host", name))
        return Host(self.log, name)


class Ref:
    """Stands where a `BackendRef` would."""

    def __init__(self, log: list[tuple[str, ...]], key: ReplicaKey, dead: set[str]) -> None:
        self.key = key
        self._log = log
        self._dead = dead

    async def begin(self, limit: float) -> None:
        if str(self.key) in self._dead:
            raise ActorGone("ActorDiedError", for_good=True)
        self._log.append(("begun", str(self.key)))

    def end(self) -> None:
        self._log.append(("ended", str(self.key)))


class Host:
    """Stands where a `HostRef` would."""

    def __init__(self, log: list[tuple[str, ...]], name: str) -> None:
        self.name = name
        self._log = log

    def end(self) -> None:
        self._log.append(("ended", self.name))


def berth(name: str, **more: Any) -> Berth:
    settings = BackendSettings(name=name, endpoint=StdioEndpoint(command="server"), **more)
    return Berth(ReplicaKey(name, 0), settings)


def _carry_out(house: House, roster: Roster) -> None:
    orders = roster.orders("g")
    house.housing.expect(orders)
    for each in orders.staying:
        house.housing.start(each)


async def test_the_router_knows_who_houses_a_replica_before_it_begins() -> None:
    house = House(Packing(2))

    for name in ("a", "b"):
        await house.housing.start(berth(name)).begin(1.0)

    assert house.log == [
        ("host", "Backends:1"),
        ("started", "a:0", "Backends:1"),
        ("housed", "a:0", "Backends:1"),
        ("begun", "a:0"),
        ("started", "b:0", "Backends:1"),
        ("housed", "b:0", "Backends:1"),
        ("begun", "b:0"),
    ]


async def test_a_replica_with_a_process_of_its_own_is_nobodys_lodger() -> None:
    house = House(Packing(2))

    lodger = house.housing.start(berth("gpu", resources=ResourceSettings(num_gpus=1)))
    await lodger.begin(1.0)
    lodger.end()

    assert house.log == [("started", "gpu:0", ""), ("begun", "gpu:0"), ("ended", "gpu:0")]


async def test_a_router_that_is_away_is_waited_for() -> None:
    house = House(Packing(2))
    lodger = house.housing.start(berth("a"))
    house.router_away = 1

    await lodger.begin(5.0)

    assert house.log[-2:] == [("housed", "a:0", "Backends:1"), ("begun", "a:0")]


async def test_a_router_that_does_not_know_the_berth_yet_is_told_again() -> None:
    house = House(Packing(2))
    lodger = house.housing.start(berth("a"))
    house.unknown = 1

    await lodger.begin(5.0)

    assert house.log[-2:] == [("housed", "a:0", "Backends:1"), ("begun", "a:0")]


async def test_a_shared_process_that_is_dead_for_good_is_started_anew_for_the_next() -> None:
    house = House(Packing(3))
    lodgers = [house.housing.start(berth(name)) for name in ("a", "b", "c")]
    house.dead |= {"a:0", "b:0"}
    for lodger in lodgers[:2]:
        with pytest.raises(ActorGone):
            await lodger.begin(1.0)
        lodger.end()
    house.dead.clear()

    await house.housing.start(berth("a")).begin(1.0)
    await house.housing.start(berth("b")).begin(1.0)

    assert house.log.count(("host", "Backends:1")) == 2
    assert house.log[-1] == ("begun", "b:0")


def test_who_is_ordered_to_be_replaced_makes_room_for_the_others() -> None:
    house = House(Packing(2))
    roster = Roster()
    roster.configure([berth(name).settings for name in "abcd"])
    _carry_out(house, roster)
    roster.configure([berth(name, timeout=7.0).settings for name in "abcd"])
    _carry_out(house, roster)

    assert [entry[1:] for entry in house.log if entry[0] == "host"] == [("Backends:1",), ("Backends:2",)]
    assert len([entry for entry in house.log if entry[0] == "started"]) == 8


async def test_a_router_that_stays_away_is_not_waited_for_without_end() -> None:
    house = House(Packing(2))
    lodger = house.housing.start(berth("a"))
    house.router_away = 100

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lodger.begin(0.01), 5)


def test_a_process_ends_with_the_last_who_shares_it() -> None:
    house = House(Packing(2))
    first, second = (house.housing.start(berth(name)) for name in ("a", "b"))

    first.end()
    ended_early = ("ended", "Backends:1") in house.log
    second.end()

    assert not ended_early
    assert house.log[-1] == ("ended", "Backends:1")


def test_one_that_ray_refuses_leaves_its_place() -> None:
    house = House(Packing(2))
    house.refuses = "b"

    with pytest.raises(ValueError, match="no such label"):
        house.housing.start(berth("b"))
    house.housing.start(berth("a"))

    assert house.log == [
        ("host", "Backends:1"),
        ("ended", "Backends:1"),
        ("host", "Backends:2"),
        ("started", "a:0", "Backends:2"),
    ]
