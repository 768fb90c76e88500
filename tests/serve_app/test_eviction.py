"""What ends as soon as a credential is revoked: open connections of every kind, and sessions with all they have."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.core.principal import ANONYMOUS, Kind, Principal, Verdict
from actors.core.session_end import End
from actors.core.tokens.revocations import Revocation, Revocations, Target
from serve_app.downstream.standing import Standings
from serve_app.downstream.ws_door import NOT_WELCOME
from tests.support.asgi import Conversation
from tests.support.bus import until
from tests.support.channel_clients import ChannelClient, SseWire, WsWire
from tests.support.hand_clock import HandClock
from tests.support.house import House, Plan, Replica, house, keep
from tests.support.posts import LegacyClient, ModernClient
from tests.support.session_router import SessionRouter

ADA = Principal("ada", "https://id", Kind.TOKEN, token_id="t1", issued_at=100.0)
ADAS = Revocations("1", (Revocation(Target.SUBJECT, "ada", before=100.0),))


async def verify(credential: str) -> Verdict:
    """Each bearer has a token of their own; that of somebody's `later` one was issued later."""
    subject, _, later = credential.partition("-")
    issued_at = 200.0 if later else 100.0
    return Verdict(Principal(subject, "https://id", Kind.TOKEN, token_id=credential, issued_at=issued_at), None, 60.0)


PLAN = Plan(verify=verify, keep_alive=30.0)


def bearer(credential: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {credential}")]


@dataclass
class Scene:
    """Two ingress replicas that share a Router."""

    built: House
    router: SessionRouter = field(default_factory=lambda: SessionRouter(HandClock()))
    ends: list[End] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.router.book.on_end = lambda _nonce, _owner, why: self.ends.append(why)
        self.here, self.there = self.built.doorway(self.router), self.built.doorway(self.router)

    async def session(self, credential: str) -> LegacyClient:
        client = LegacyClient(self.here, headers=bearer(credential))
        await client.initialize()
        return client

    def revoke(self, revocations: Revocations = ADAS) -> None:
        """As a new View does at every ingress replica."""
        for gateway in (self.here, self.there):
            gateway.assembly.eviction.heed(revocations)


async def opened(stream: Conversation) -> Conversation:
    await stream.until(lambda each: each.streams)
    return stream


async def test_the_stream_of_a_revoked_session_is_closed_and_that_of_another_client_is_not() -> None:
    replica = Replica()
    async with house(replica, plan=PLAN) as built:
        scene = Scene(built)
        ada, bob = await scene.session("ada"), await scene.session("bob")
        of_ada, of_bob = await opened(ada.listen()), await opened(bob.listen())
        await scene.here.linked()

        scene.revoke()
        await of_ada.answered()
        await until(lambda: bool(scene.ends) and bool(replica.origins))
        left, again = of_bob.whole, await ada.ask("ping")
        still = await bob.ask("ping")
        await of_bob.leave()

    assert of_ada.whole
    assert not left
    assert scene.ends == [End.REVOKED]
    assert (again.status, still.status) == (404, 200)


async def test_what_runs_in_a_revoked_session_is_cancelled() -> None:
    replica = Replica(behave=keep)
    async with house(replica, plan=PLAN) as built:
        scene = Scene(built)
        await scene.here.linked()
        call = (await scene.session("ada")).start("tools/call", {"name": "git__echo"})
        await until(lambda: bool(replica.exchanges))

        scene.revoke()
        await until(lambda: replica.exchanges[0].call.session in replica.origins)
        await call.leave()


@pytest.mark.parametrize("kind", [SseWire, WsWire])
async def test_a_connection_that_is_a_session_is_closed_with_it(kind: Any) -> None:
    async with house(Replica(), plan=PLAN) as built:
        scene = Scene(built)
        wires = [kind(scene.here, headers=bearer(credential)) for credential in ("ada", "bob")]
        for wire in wires:
            await ChannelClient(wire).initialize()

        scene.revoke()
        await until(lambda: wires[0].closed and bool(scene.ends))
        left = wires[1].closed
        await wires[1].leave()

    assert not left
    assert scene.ends[0] is End.REVOKED
    assert getattr(wires[0], "code", NOT_WELCOME) == NOT_WELCOME


async def test_a_subscription_of_a_modern_client_ends_in_good_order() -> None:
    async with house(Replica(), plan=PLAN) as built:
        scene = Scene(built)
        wanted = {"notifications": {"toolsListChanged": True}}
        stream = ModernClient(scene.here, headers=bearer("ada")).start("subscriptions/listen", wanted, request_id=7)
        await stream.until(lambda each: len(each.events) == 1)

        scene.revoke()
        await stream.answered()

    assert stream.events[-1]["result"]["resultType"] == "complete"


async def test_a_session_that_went_on_with_a_newer_token_ends_when_that_is_revoked() -> None:
    async with house(Replica(), plan=PLAN) as built:
        scene = Scene(built)
        client = await scene.session("ada")
        renewed = LegacyClient(scene.there, headers=bearer("ada-later"))
        renewed.session = client.session
        assert (await renewed.ask("ping")).status == 200

        scene.revoke(Revocations("1", (Revocation(Target.TOKEN, "ada-later"),)))
        await until(lambda: bool(scene.ends))

    assert scene.ends == [End.REVOKED]


async def test_who_logs_in_again_keeps_the_new_session() -> None:
    async with house(Replica(), plan=PLAN) as built:
        scene = Scene(built)
        await scene.session("ada")
        scene.revoke()
        await until(lambda: bool(scene.ends))

        client = await scene.session("ada-later")
        scene.revoke(Revocations("2", ADAS.entries))
        await until(lambda: scene.here.assembly.eviction._round is None)

        assert (await client.ask("ping")).status == 200


async def test_ends_are_told_to_a_router_that_was_away() -> None:
    async with house(Replica(), plan=PLAN) as built:
        scene = Scene(built)
        client = await scene.session("ada")
        scene.router.away = True

        with capture_logs():
            scene.revoke()
            await until(lambda: scene.here.assembly.eviction._round is None)
            refused = await client.ask("ping")
        scene.router.away = False
        await scene.here.assembly.sessions.report()

    assert refused.status == 404
    assert scene.ends == [End.REVOKED]


def test_who_comes_with_what_is_revoked_already_leaves_at_once_and_nobody_is_remembered() -> None:
    standings = Standings()
    left: list[str] = []
    standings.revoke(ADAS)

    with standings.hold(ADA, lambda: left.append("ada")), standings.hold(ANONYMOUS, lambda: left.append("anybody")):
        held = len(standings)
        standings.revoke(Revocations("2", (Revocation(Target.SUBJECT, "anonymous"),)))

    assert left == ["ada"]
    assert (held, len(standings)) == (1, 0)
