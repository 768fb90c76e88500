"""What a modern client's subscription is promised, out of what it wants."""

from typing import Any

import pytest

from actors.core.listing import Facts
from actors.core.revisions import Era
from actors.core.tasks import TASKS
from tests.support.house import Doorway, Plan, Replica, doorway
from tests.support.posts import CAPABILITIES_KEY, ModernClient, modern_meta

META = modern_meta(**{CAPABILITIES_KEY: {"extensions": {TASKS: {}}}})
EVERYTHING = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
TOOLS_ONLY = Plan(facts={"git": Facts(Era.MODERN, "2026-07-28", capabilities=b'{"tools":{},"own":{}}')})


async def honoured(gateway: Doorway, path: str, **wanted: Any) -> Any:
    """What the gateway acknowledges of these wishes."""
    conversation = ModernClient(gateway, path).start("subscriptions/listen", {"notifications": wanted}, meta=META)
    await conversation.until(lambda each: bool(each.events))
    await conversation.leave()
    return conversation.events[0]["params"]["notifications"]


@pytest.mark.parametrize(("path", "promised"), [("/mcp", EVERYTHING), ("/servers/git/mcp", {"toolsListChanged": True})])
async def test_only_lists_that_the_endpoint_has_are_promised_to_be_told_of(path: str, promised: object) -> None:
    async with doorway(Replica(), plan=TOOLS_ONLY) as gateway:
        assert await honoured(gateway, path, **EVERYTHING) == promised
        assert await honoured(gateway, path, toolsListChanged=False) == {}


async def test_notifications_about_tasks_are_not_promised() -> None:
    async with doorway(Replica()) as gateway:
        assert await honoured(gateway, "/mcp", taskIds=["t"], toolsListChanged=True) == {"toolsListChanged": True}


async def test_notifications_about_tasks_need_the_capability_to_be_asked_for() -> None:
    wanted = {"notifications": {"taskIds": ["t"]}}
    async with doorway(Replica()) as gateway:
        told = await ModernClient(gateway).ask("subscriptions/listen", wanted)

    assert (told.status, told.json["error"]["code"]) == (400, -32021)


async def test_a_filter_nested_without_end_is_refused() -> None:
    wanted: list[Any] = []
    for _ in range(600):
        wanted = [wanted]
    async with doorway(Replica()) as gateway:
        told = await ModernClient(gateway).ask("subscriptions/listen", {"notifications": {"own": wanted, "taskIds": 1}})

    assert (told.status, told.json["error"]["code"]) == (400, -32700)
