"""What an ingress knows of the gateway, with the Router and without it."""

import asyncio
from collections.abc import Callable

from structlog.testing import capture_logs

from actors.core.view import View
from actors.refs.gone import ActorGone
from actors.refs.router import RouterRef
from serve_app.outlook import Outlook
from tests.support.bus import until
from tests.support.house import Plan, Replica, view_of


def view(*names: str, version: int = 1, generation: str = "first") -> View:
    made = view_of([Replica(name) for name in names], Plan(), version)
    return View(generation, version, made.backends, made.catalogue)


class ScriptedRouter:
    """Answers `watch` with what the script has next, and waits when it is at its end."""

    def __init__(self, *script: View | Exception) -> None:
        self.script = list(script)
        self.watched: list[tuple[str, int]] = []

    def find(self) -> RouterRef:
        return self  # type: ignore[return-value]

    async def watch(self, generation: str, version: int) -> View:
        self.watched.append((generation, version))
        if not self.script:
            await asyncio.Event().wait()
        item = self.script.pop(0)
        if isinstance(item, Exception):
            raise item
        return item


async def no_time(_seconds: float) -> None:
    await asyncio.sleep(0)


async def followed(router: ScriptedRouter, on_view: Callable[[View], None] = lambda _: None) -> Outlook:
    """An outlook that has heard all that the script has to say."""
    outlook = Outlook(router.find, on_view)
    task = asyncio.create_task(outlook.follow(no_time))
    await until(lambda: not router.script and len(router.watched) > 0)
    await until(lambda: router.watched[-1] == (outlook.view.generation, outlook.view.version))
    assert not task.done()
    task.cancel()
    return outlook


async def test_before_the_first_view_there_is_an_empty_aggregate_and_no_server() -> None:
    outlook = Outlook(ScriptedRouter().find, lambda _: None)

    offer = outlook.offer(None)

    assert offer is not None
    assert offer.catalogue.tools == {}
    assert outlook.offer("git") is None


async def test_every_new_view_is_adopted_and_the_same_one_is_not_adopted_again() -> None:
    adopted: list[int] = []
    router = ScriptedRouter(view("a"), view("a"), view("a", "b", version=2))

    outlook = await followed(router, lambda each: adopted.append(each.version))

    assert adopted == [1, 2]
    assert router.watched == [("", 0), ("first", 1), ("first", 1), ("first", 2)]
    assert outlook.offer("b") is not None


async def test_a_restarted_router_is_believed_although_it_counts_from_the_start() -> None:
    outlook = await followed(ScriptedRouter(view("a", version=7), view("b", version=1, generation="second")))

    assert list(outlook.view.backends) == ["b"]


async def test_a_router_that_knows_nothing_yet_takes_nothing_away() -> None:
    router = ScriptedRouter(view("a"), View("second", 0))
    outlook = await followed(router)

    assert list(outlook.view.backends) == ["a"]


async def test_without_a_router_the_last_view_stands_and_the_absence_is_logged_once() -> None:
    router = ScriptedRouter(
        view("a"), ActorGone("away"), RuntimeError("Ray is"), ActorGone("away"), view("b", version=2)
    )

    with capture_logs() as logs:
        outlook = await followed(router)

    assert list(outlook.view.backends) == ["b"]
    assert [entry["event"] for entry in logs] == ["router_unreachable", "router_reachable"]


async def test_a_view_that_cannot_be_used_does_not_end_the_watch() -> None:
    def refuse(each: View) -> None:
        if each.version == 1:
            raise ValueError("no links for this one")

    outlook = await followed(ScriptedRouter(view("a"), view("b", version=2)), refuse)

    assert list(outlook.view.backends) == ["b"]


async def test_offers_are_rendered_once_for_each_view() -> None:
    outlook = Outlook(ScriptedRouter().find, lambda _: None)
    outlook.adopt(view("a"))
    first = outlook.offer("a")

    assert outlook.offer("a") is first
    outlook.adopt(view("a", version=2))
    assert outlook.offer("a") is not first


async def test_whoever_comes_before_the_first_view_waits_for_it_but_not_for_ever():
    outlook = Outlook(ScriptedRouter().find, lambda _: None)
    early = await outlook.learns(0.01)
    waiting = asyncio.create_task(outlook.learns(10.0))
    await asyncio.sleep(0)
    outlook.adopt(view("a"))

    assert not early
    assert await waiting
    assert outlook.knows
