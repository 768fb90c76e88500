"""A Router goes on where the one of the run before ended: with its lists, its sessions, its added servers."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.core.endpoints import StdioEndpoint
from actors.core.listing import Facts, Item, Listing
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.revisions import LATEST_HANDSHAKE, Era
from actors.core.roster import Orders, Roster
from actors.core.saved import SavedServer
from actors.core.session_state import SessionState, SetLevel, opened
from actors.core.settings import BackendSettings, Naming, ServerSettings
from actors.core.view import View
from actors.memory import Memory
from actors.router import GATHER_SECONDS, Router
from actors.store import Store
from tests.support.control_plane import RecordingMetrics
from tests.support.hand_clock import HandClock

UP, DOWN = ReplicaState.UP, ReplicaState.DOWN
FACTS = Facts(Era.HANDSHAKE, LATEST_HANDSHAKE, b'{"name":"x"}', b'{"tools":{}}')
IDLE = ServerSettings().session_idle_seconds
LIMIT = 10.0


def backend(name: str, command: str = "x") -> BackendSettings:
    return BackendSettings(name=name, endpoint=StdioEndpoint(command=command))


def listing(*tools: str) -> Listing:
    return Listing(tools=tuple(Item(name, b'{"name":"%b"}' % name.encode()) for name in tools))


def status(name: str, **more: Any) -> Status:
    defaults = {"node": "n", "address": "unix:/s", "remote_address": None, "state": UP, "facts": FACTS}
    return Status(ReplicaKey(name, 0), "e1", 1, **{**defaults, **more})


def session(number: int) -> SessionState:
    return opened(number.to_bytes(16, "big"), "alice", b"{}")


class House:
    """A file, and the Routers that use it one after the other; two clocks, as two starts of a machine have."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.wall_clock = HandClock()
        self.clock = HandClock(50.0)
        self.store: Store | None = None
        self.router: Router
        self.lives = 0

    def start(self) -> Router:
        """Another life of the Router, which knows no orders yet."""
        self.end()
        self.lives += 1
        self.store = Store.open(self.file, self.wall_clock)
        self.router = Router(
            None,
            Naming.QUALIFIED,
            generation=f"g{self.lives}",
            metrics=RecordingMetrics(),  # type: ignore[arg-type]
            memory=Memory(self.store, self.wall_clock),
            clock=self.clock,
            watch_seconds=0.3,
        )
        return self.router

    async def begin(self, *backends: BackendSettings) -> Router:
        """A new run of the gateway, on a machine that was started again."""
        self.clock = HandClock(10.0 * (self.lives + 1))
        router = self.start()
        await router.adopt(orders(*backends))
        return router

    async def view(self) -> View:
        """The first View, or an empty one if there is none soon."""
        async with asyncio.timeout(LIMIT):
            return await self.router.watch("", 0)

    def end(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None


def orders(*backends: BackendSettings, generation: str = "") -> Orders:
    roster = Roster()
    roster.configure(backends)
    return roster.orders(generation)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "state.sqlite")
    yield house
    house.end()


async def found(router: Router, *numbers: int) -> list[SessionState]:
    return list(
        (await router.find_sessions([SessionState(session(number).nonce, "alice") for number in numbers])).states
    )


# --- lists ---


async def test_a_new_run_offers_at_once_what_the_one_before_had(house: House) -> None:
    router = await house.begin(backend("git"), backend("web"))
    await router.report(status("git", listing=listing("log")))
    await router.report(status("web", listing=listing("get")))

    await house.begin(backend("git"), backend("web"))
    view = await house.view()

    assert list(view.catalogue.tools) == ["git__log", "web__get"]
    assert view.backends["git"].facts == FACTS
    assert not any(each.up for each in view.backends.values())


async def test_lists_that_are_confirmed_are_no_longer_those_of_the_run_before(house: House) -> None:
    router = await house.begin(backend("git"))
    await router.report(status("git", listing=listing("log", "gone")))
    router = await house.begin(backend("git"))
    first = await house.view()

    await router.report(status("git", listing=listing("log", "new")))
    view = await router.watch(first.generation, first.version)

    assert list(view.catalogue.tools) == ["git__log", "git__new"]
    assert view.backends["git"].up


async def test_what_a_server_says_before_anything_is_published_counts_more_than_what_was_kept(house: House) -> None:
    router = await house.begin(backend("git"))
    await router.report(status("git", listing=listing("old")))
    router = await house.begin(backend("git"))

    await router.report(status("git", listing=listing("new")))

    assert list((await house.view()).catalogue.tools) == ["git__new"]


async def test_another_server_under_an_old_name_is_not_taken_for_the_old_one(house: House) -> None:
    router = await house.begin(backend("git"), backend("web"))
    await router.report(status("git", listing=listing("log")))
    await router.report(status("web", listing=listing("get")))

    await house.begin(backend("git", command="y"), backend("web"))
    view = await house.view()

    assert list(view.catalogue.tools) == ["web__get"]
    assert view.backends["git"].facts is None


async def test_lists_of_a_server_that_is_down_are_not_kept_for_those_of_one_that_is_up(house: House) -> None:
    router = await house.begin(backend("git"))
    await router.report(status("git", listing=listing("log")))
    await router.report(Status(ReplicaKey("git", 0), "e1", 2, "n", "unix:/s", None, DOWN, listing=Listing()))

    await house.begin(backend("git"))

    assert list((await house.view()).catalogue.tools) == ["git__log"]


async def test_a_first_run_waits_for_its_servers(house: House) -> None:
    await house.begin(backend("git"), backend("web"))
    await house.router.report(status("git", listing=listing("log")))

    assert (await house.view()).version == 0


async def test_a_router_that_restarts_in_a_run_publishes_nothing_before_its_servers_could_speak(house: House) -> None:
    router = await house.begin(backend("git"), backend("web"))
    await router.report(status("git", listing=listing("log")))
    await router.report(status("web", listing=listing("get")))

    router = house.start()
    await router.adopt(orders(backend("git"), backend("web"), generation="g1"))
    await router.report(status("git", listing=listing("log")))
    early = await house.view()
    house.clock.advance(GATHER_SECONDS)
    router.look_round()
    late = await house.view()

    assert early.version == 0
    assert list(late.catalogue.tools) == ["git__log", "web__get"]


async def test_a_server_that_is_added_after_the_start_finds_its_lists_too(house: House) -> None:
    router = await house.begin(backend("git"))
    await router.add_server("web", backend("web"), b'{"command":"x"}')
    await router.report(status("git", listing=listing("log")))
    await router.report(status("web", listing=listing("get")))
    router = await house.begin(backend("git"))
    first = await house.view()

    await router.add_server("web", backend("web"), b'{"command":"x"}')
    view = await router.watch(first.generation, first.version)

    assert list(first.catalogue.tools) == ["git__log"]
    assert list(view.catalogue.tools) == ["git__log", "web__get"]


async def test_what_was_removed_is_forgotten(house: House) -> None:
    router = await house.begin(backend("git"), backend("web"))
    await router.add_server("more", backend("more"), b"{}")
    for name in ("git", "web", "more"):
        await router.report(status(name, listing=listing("a")))
    await router.configure([backend("git")])
    await router.remove_server("more")
    house.end()

    store = Store.open(house.file)
    saved = store.load()
    store.close()

    assert (list(saved.listings), saved.servers) == (["git"], ())


async def test_added_servers_are_kept_as_they_were_given(house: House) -> None:
    router = await house.begin(backend("git"))
    await router.add_server("web", backend("web"), b'{"env":{"TOKEN":"${TOKEN}"}}')
    await router.add_server("git", backend("git"), b"refused: it is in the file")
    house.end()

    store = Store.open(house.file)
    saved = store.load()
    store.close()

    assert saved.servers == (SavedServer("web", b'{"env":{"TOKEN":"${TOKEN}"}}'),)


# --- sessions ---


async def test_sessions_go_on_as_they_were(house: House) -> None:
    router = await house.begin(backend("git"))
    await router.open_session(session(1))
    await router.change_session(session(1), SetLevel("debug"))
    await router.tell_sessions([session(2), session(3)], [session(3).nonce])

    router = await house.begin(backend("git"))

    assert [(each.nonce, each.log_level) for each in await found(router, 1, 2, 3)] == [
        (session(1).nonce, "debug"),
        (session(2).nonce, None),
    ]


async def test_a_session_has_the_time_that_it_had_left(house: House) -> None:
    router = await house.begin(backend("git"))
    for number in (1, 2, 3):
        await router.open_session(session(number))
    house.wall_clock.advance(IDLE / 2)
    await router.touch_sessions([session(2).nonce, session(3).nonce])

    house.wall_clock.advance(IDLE / 2)
    router = await house.begin(backend("git"))
    at_start = await found(router, 1, 2, 3)
    await router.touch_sessions([session(3).nonce])
    house.clock.advance(IDLE / 2)
    router.look_round()

    assert at_start == [session(2), session(3)]
    assert await found(router, 2, 3) == [session(3)]


async def test_a_new_run_believes_nobody_in_a_session_that_it_does_not_know(house: House) -> None:
    router = await house.begin(backend("git"))

    assert await found(router, 7) == []


async def test_a_router_that_restarts_in_a_run_believes_those_who_knew_a_session(house: House) -> None:
    await house.begin(backend("git"))
    router = house.start()
    await router.adopt(orders(backend("git"), generation="g1"))

    assert len(await found(router, 7)) == 1


async def test_sessions_that_are_over_are_not_kept_for_ever(house: House) -> None:
    router = await house.begin(backend("git"))
    await router.open_session(session(1))
    house.wall_clock.advance(IDLE)
    await house.begin(backend("git"))
    house.end()

    store = Store.open(house.file)
    saved = store.load()
    store.close()

    assert saved.sessions == ()


async def test_the_end_of_the_gateway_writes_what_is_not_written_yet(house: House) -> None:
    router = await house.begin(backend("git"))
    await router.open_session(session(1))

    await router.flush()

    reader = Store.open(house.file)
    assert [each.state for each in reader.load().sessions] == [session(1)]
    reader.close()


def unreadable(file: Path) -> None:
    file.write_bytes(b"\0" * 5000)


def missing(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("spoil", [unreadable, missing])
async def test_without_what_was_kept_it_starts_as_for_the_first_time(
    house: House, spoil: Callable[[Path], None]
) -> None:
    router = await house.begin(backend("git"))
    await router.report(status("git", listing=listing("log")))
    house.end()
    spoil(house.file)

    router = await house.begin(backend("git"))
    early = await house.view()
    await router.report(status("git", listing=listing("log")))

    assert early.version == 0
    assert list((await house.view()).catalogue.tools) == ["git__log"]
