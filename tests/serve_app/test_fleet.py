"""The fleet starts and stops what the Router orders."""

import asyncio
from collections.abc import Callable

from actors.core.endpoints import StdioEndpoint
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.roster import Berth, Orders, Roster
from actors.core.settings import BackendSettings
from actors.refs.gone import ActorGone
from serve_app.fleet import Fleet
from tests.support.processes import eventually


def backend(name: str, command: str = "x") -> BackendSettings:
    return BackendSettings(name=name, endpoint=StdioEndpoint(command=command), timeout=7.0)


class Ship:
    """A Backend that does as it is told, and notes it."""

    def __init__(self, key: ReplicaKey, journal: list[str], gone: list[ActorGone], *, hangs: bool) -> None:
        """Attempts fail as in `gone`, one after the other."""
        self.key = key
        self._journal = journal
        self._gone = gone
        self._hangs = hangs

    async def begin(self, limit: float) -> Status:
        self._journal.append(f"begin {self.key}")
        if self._gone:
            raise self._gone.pop(0)
        if self._hangs:
            await asyncio.Event().wait()
        return Status(self.key, "e", 1, "n", "unix:/s", None, ReplicaState.UP)

    async def stop(self, drain_seconds: float) -> None:
        self._journal.append(f"stop {self.key} {drain_seconds:g}")

    def end(self) -> None:
        self._journal.append(f"end {self.key}")


class Admiral:
    """A Router whose roster the test changes."""

    def __init__(self, *backends: BackendSettings) -> None:
        self.generation = "g1"
        self.roster: Roster | None = Roster()
        self.roster.configure(backends)
        self.gone = 0
        self.adopted = 0
        self._news = asyncio.Event()

    def change(self, change: Callable[[Roster], object]) -> None:
        assert self.roster is not None
        change(self.roster)
        self.tell()

    def tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def orders(self, generation: str, version: int) -> Orders:
        while True:
            if self.gone:
                self.gone -= 1
                raise ActorGone("restarting")
            if self.roster is None:
                return Orders(self.generation, 0, known=False)
            if (generation, version) != (self.generation, self.roster.version):
                return self.roster.orders(self.generation)
            await self._news.wait()

    async def adopt(self, orders: Orders) -> None:
        self.adopted += 1
        if self.roster is None:
            self.roster = Roster(orders)

    async def clear(self, key: ReplicaKey) -> None:
        self.change(lambda roster: roster.clear(key))


class Sea:
    """A fleet, who orders it, and what it did."""

    def __init__(self, *backends: BackendSettings, hangs: frozenset[str] = frozenset()) -> None:
        self.router = Admiral(*backends)
        self.journal: list[str] = []
        self.told: list[str] = []
        self.reloads = 0
        self.gone: dict[str, list[ActorGone]] = {}
        """How attempts to begin fail, by backend."""
        self.refused: dict[str, int] = {}
        """How often Ray does not take a backend."""
        self.waits: list[float] = []
        self._hangs = hangs
        self.fleet = Fleet(
            self.router,
            self._start,
            start_concurrency=2,
            drain_seconds=3.0,
            on_status=lambda status: self.told.append(f"{status.key} {status.state.value}"),
            on_trouble=self.told.append,
            on_reload=self._reload,
            on_orders=lambda orders: self.journal.append(f"orders for {len(orders.staying)}"),
            sleep=self._sleep,
        )

    async def begin(self) -> list[Status]:
        assert self.router.roster is not None
        return await self.fleet.begin(self.router.roster.orders(""))

    def _start(self, berth: Berth) -> Ship:
        name = berth.key.backend
        if self.refused.get(name):
            self.refused[name] -= 1
            raise ValueError("its name is taken")
        self.journal.append(f"start {berth.key}")
        return Ship(berth.key, self.journal, self.gone.get(name, []), hangs=name in self._hangs)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    def _reload(self) -> None:
        self.reloads += 1


async def test_what_there_shall_be_at_first_is_started_and_told():
    sea = Sea(backend("git"), backend("web"))
    statuses = await sea.begin()
    await sea.fleet.stop(1.0)

    assert [str(status.key) for status in statuses] == ["git:0", "web:0"]
    assert sorted(sea.told) == ["git:0 up", "web:0 up"]
    assert sea.journal[0] == "orders for 2"
    assert sorted(line for line in sea.journal if "orders" not in line) == [
        *("begin git:0", "begin web:0"),
        *("start git:0", "start web:0"),
        *("stop git:0 1", "stop web:0 1"),
    ]


async def test_what_is_added_is_started_and_what_retires_is_stopped_ended_and_cleared():
    sea = Sea(backend("git"))
    await sea.begin()
    sea.router.change(lambda roster: roster.configure([backend("web")]))
    await eventually(lambda: sea.router.roster and [str(key) for key in sea.router.roster.berths] == ["web:0"])
    await eventually(lambda: "begin web:0" in sea.journal)
    await sea.fleet.stop(1.0)

    journal = [line for line in sea.journal if "git" in line]
    assert journal == ["start git:0", "begin git:0", "stop git:0 7", "end git:0"]


async def test_one_that_gets_no_process_is_told_of_and_tried_again_and_disturbs_no_other():
    sea = Sea(backend("git"), backend("web"))
    sea.gone = {"git": [ActorGone("no process") for _ in range(8)]}
    statuses = await sea.begin()
    await eventually(lambda: "git:0 up" in sea.told)
    await sea.fleet.stop(1.0)

    assert [str(status.key) for status in statuses] == ["web:0"]
    assert sea.waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert "backend git:0 has no process yet: no process; tried again in 4 s" in sea.told
    assert (sea.journal.count("start git:0"), sea.journal.count("begin git:0")) == (1, 9)


async def test_one_whose_process_is_dead_for_good_gets_another():
    sea = Sea(backend("git"))
    sea.gone = {"git": [ActorGone("ActorDiedError", for_good=True)]}
    await sea.begin()
    await eventually(lambda: "git:0 up" in sea.told)
    await sea.fleet.stop(1.0)

    assert [line for line in sea.journal if "git" in line] == [
        *("start git:0", "begin git:0", "end git:0"),
        *("start git:0", "begin git:0", "stop git:0 1"),
    ]


async def test_one_that_ray_does_not_take_is_tried_again():
    sea = Sea(backend("git"))
    sea.refused = {"git": 2}
    await sea.begin()
    await eventually(lambda: "git:0 up" in sea.told)
    await sea.fleet.stop(1.0)

    assert "backend git:0 was not started: its name is taken; tried again in 2 s" in sea.told
    assert sea.waits == [1.0, 2.0]


async def test_one_that_retires_is_tried_no_more():
    sea = Sea(backend("git"))
    sea.gone = {"git": [ActorGone("no process") for _ in range(1000)]}
    await sea.begin()
    await eventually(lambda: sea.journal.count("begin git:0") > 2)
    sea.router.change(lambda roster: roster.configure([]))
    await eventually(lambda: sea.router.roster is not None and not sea.router.roster.berths)
    attempts = sea.journal.count("begin git:0")
    await sea.fleet.stop(1.0)

    assert [line for line in sea.journal if "git" in line][-2:] == ["stop git:0 7", "end git:0"]
    assert sea.journal.count("begin git:0") == attempts


async def test_one_that_retires_before_it_has_begun_does_not_end_the_start_of_the_others():
    sea = Sea(backend("git"), backend("web"), hangs=frozenset({"git"}))
    beginning = asyncio.create_task(sea.begin())
    await eventually(lambda: "begin git:0" in sea.journal)
    sea.router.change(lambda roster: roster.configure([backend("web")]))
    async with asyncio.timeout(5):
        statuses = await beginning
    await eventually(lambda: sea.router.roster and [str(key) for key in sea.router.roster.berths] == ["web:0"])
    await sea.fleet.stop(1.0)

    assert [str(status.key) for status in statuses] == ["web:0"]
    assert sea.waits == []  # nobody calls it, so its end need not wait for anybody to hear of that


async def test_a_router_that_was_away_and_forgot_everything_is_told_and_nothing_is_started_twice():
    sea = Sea(backend("git"))
    await sea.begin()
    sea.router.generation, sea.router.roster, sea.router.gone = "g2", None, 3
    sea.router.tell()
    await eventually(lambda: sea.router.roster is not None)
    sea.router.change(lambda roster: roster.configure([backend("git"), backend("web")]))
    await eventually(lambda: "begin web:0" in sea.journal)
    await sea.fleet.stop(1.0)

    assert sea.router.adopted == 2
    assert sea.journal.count("begin git:0") == 1


async def test_a_wish_to_read_the_file_again_is_passed_on_once():
    sea = Sea(backend("git"))
    await sea.begin()
    sea.router.change(lambda roster: roster.ask_reload())
    await eventually(lambda: sea.reloads == 1)
    sea.router.change(lambda roster: roster.configure([backend("git"), backend("web")]))
    await eventually(lambda: "begin web:0" in sea.journal)
    await sea.fleet.stop(1.0)

    assert sea.reloads == 1
