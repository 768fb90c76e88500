"""Whoever changes a roster tells everyone, once, if it is another one by that."""

from collections.abc import Callable

import pytest

from actors.core.endpoints import StdioEndpoint
from actors.core.membership import ReplicaKey
from actors.core.roster import Added
from actors.core.settings import BackendSettings
from actors.core.traffic_settings import ScaleSettings
from actors.roster_desk import RosterDesk
from tests.support.hand_clock import HandClock

KEY = ReplicaKey("git", 0)


def backend(name: str) -> BackendSettings:
    replicas = ScaleSettings(min=0, max=3, target_in_flight=1.0)
    return BackendSettings(name=name, endpoint=StdioEndpoint(command="x"), replicas=replicas)


def scale(desk: RosterDesk) -> None:
    desk.scale({"git": 2}, {"git"})


CHANGES: dict[str, Callable[[RosterDesk], object]] = {
    "configure": lambda desk: desk.configure([backend("git"), backend("web")]),
    "add": lambda desk: desk.add(Added(backend("web"), b"{}")),
    "house": lambda desk: desk.house(KEY, "Backends:1"),
    "remove": lambda desk: desk.remove("added"),
    "clear": lambda desk: desk.clear(ReplicaKey("gone", 0)),
    "scale": scale,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_is_told_and_the_same_again_is_none(change: Callable[[RosterDesk], object]) -> None:
    told: list[None] = []
    desk = RosterDesk(
        "g",
        [backend("git"), backend("gone")],
        lambda: told.append(None),
        watch_seconds=0.01,
        clock=HandClock(),
    )
    desk.add(Added(backend("added"), b"{}"))
    desk.configure([backend("git")])
    before = len(told)

    change(desk)
    change(desk)

    assert len(told) == before + 1
