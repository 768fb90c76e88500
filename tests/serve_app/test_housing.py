"""Who is given which process, and when that ends."""

import asyncio
from typing import Any

import pytest

from actors.core.endpoints import StdioEndpoint
from actors.core.membership import ReplicaKey
from actors.core.packing import Packing
from actors.core.roster import Berth
from actors.core.settings import BackendSettings
from actors.core.traffic_settings import ResourceSettings
from actors.refs import ActorGone
from serve_app.housing import Housing


class House:
    """Stands where the Router and Ray would, and writes down what they are asked."""

    def __init__(self, packing: Packing) -> None:
        self.log: list[tuple[str, ...]] = []
        self.router_away = 0
        """How often the Router cannot be reached."""
        self.refuses = ""
        """Which backend Ray does not take."""
        router: Any = self
        self.housing = Housing(packing, router, self._start_backend, self._start_host, lambda: 1.0)

    async def house(self, key: ReplicaKey, host: str) -> None:
        if self.router_away:
            self.router_away -= 1
            raise ActorGone("RayActorError")
        self.log.append(("housed", str(key), host))

    def _start_backend(self, berth: Berth, host: Any) -> Any:
        if berth.key.backend == self.refuses:
            raise ValueError("no such label")
        self.log.append(("started", str(berth.key), "" if host is None else host.name))
        return Ref(self.log, berth.key)

    def _start_host(self, name: str) -> Any:
        self.log.append(("host", name))
        return Host(self.log, name)


class Ref:
    """Stands where a `BackendRef` would."""

    def __init__(self, log: list[tuple[str, ...]], key: ReplicaKey) -> None:
        self.key = key
        self._log = log

    async def begin(self, limit: float) -> None:
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
