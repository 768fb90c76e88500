"""Why the sessions of connections end, as the Router hears it."""

from dataclasses import replace
from typing import Any

import pytest

from actors.core.principal import Kind, Principal, Refusal, Verdict
from actors.core.session_end import End
from serve_app.downstream.ws_door import WsDoor
from tests.support.bus import until
from tests.support.channel_clients import ChannelClient, SseWire, WsWire
from tests.support.hand_clock import HandClock
from tests.support.house import Doorway, House, Plan, Replica, house
from tests.support.posts import LegacyClient
from tests.support.session_router import SessionRouter

ADA = [("authorization", "Bearer ada")]
WIRES = pytest.mark.parametrize("kind", [SseWire, WsWire])


class Scene:
    """A door with a Router that hears of every end."""

    def __init__(self, built: House) -> None:
        self.router = SessionRouter(HandClock())
        self.ends: list[End] = []
        self.router.book.on_end = lambda _nonce, _owner, why: self.ends.append(why)
        self.gateway: Doorway = built.doorway(self.router)
        self.gateway.ingress._ws = WsDoor(self.gateway.assembly.channels, check_seconds=0.02)

    async def connected(self, kind: Any) -> Any:
        wire = kind(self.gateway, headers=ADA)
        await ChannelClient(wire).initialize()
        return wire

    async def ended(self) -> list[End]:
        await until(lambda: bool(self.ends))
        return self.ends


class People:
    """Ada, as long as she is welcome."""

    def __init__(self) -> None:
        self.welcome = True
        self.plan = Plan(verify=self._verify, keep_alive=0.02)

    async def _verify(self, _credential: str) -> Verdict:
        if not self.welcome:
            return Verdict(None, Refusal.INVALID, 60.0)
        return Verdict(Principal("ada", "", Kind.KEY), None, 60.0)

    def turn_away(self, gateway: Doorway) -> None:
        self.welcome = False
        gateway.ingress._reception._authentication._admitted.clear()


@WIRES
async def test_a_client_that_leaves_ends_its_session(kind: Any) -> None:
    async with house(Replica(), plan=People().plan) as built:
        scene = Scene(built)
        wire = await scene.connected(kind)
        await wire.leave()

        assert await scene.ended() == [End.CLIENT]


@WIRES
async def test_a_client_that_is_not_welcome_any_more_had_its_session_revoked(kind: Any) -> None:
    people = People()
    async with house(Replica(), plan=people.plan) as built:
        scene = Scene(built)
        wire = await scene.connected(kind)
        people.turn_away(scene.gateway)

        assert await scene.ended() == [End.REVOKED]
        await until(lambda: wire.closed)


@WIRES
async def test_a_gateway_that_is_about_to_end_stops_the_sessions_of_its_connections(kind: Any) -> None:
    async with house(Replica(), plan=People().plan) as built:
        scene = Scene(built)
        await scene.connected(kind)
        scene.gateway.outlook.adopt(replace(scene.gateway.outlook.view, version=2, closing=True))

        assert await scene.ended() == [End.STOP]


async def test_a_session_over_http_ends_when_its_client_says_so() -> None:
    async with house(Replica(), plan=People().plan) as built:
        scene = Scene(built)
        client = LegacyClient(scene.gateway, headers=ADA)
        await client.initialize()
        for _ in range(2):
            await client.start_raw({}, verb="DELETE").answered()

        assert await scene.ended() == [End.CLIENT]
