"""WebSockets: who is let in, which frames are messages, and how a connection is closed."""

import json
from typing import Any

import pytest

from actors.core.principal import Kind, Principal, Refusal, Verdict
from actors.core.settings import ServerSettings
from serve_app.downstream.outgoing import Ending
from serve_app.downstream.ws_door import PARTINGS, WsDoor
from tests.support.bus import until
from tests.support.channel_clients import ChannelClient, WsWire
from tests.support.house import Doorway, Plan, Replica, doorway

PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
HTTP = "websocket.http.response"


async def verify(credential: str) -> Verdict:
    if credential == "ada":
        return Verdict(Principal("ada", "", Kind.KEY), None, 60.0)
    return Verdict(None, Refusal.INVALID, 60.0)


async def opened(gateway: Doorway, *arguments: Any, **more: Any) -> WsWire:
    wire = WsWire(gateway, *arguments, **more)
    await wire.open()
    return wire


@pytest.mark.parametrize(
    ("offered", "chosen"), [((), None), (("mcp",), "mcp"), (("graphql-ws", "mcp"), "mcp"), (("graphql-ws",), None)]
)
async def test_the_subprotocol_is_mcp_if_the_client_offers_it(offered: tuple[str, ...], chosen: str | None) -> None:
    async with doorway(Replica()) as gateway:
        wire = await opened(gateway, subprotocols=offered)
        await wire.leave()

    assert wire.accepted == {"type": "websocket.accept", "subprotocol": chosen}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("", [("origin", "https://elsewhere.example.org")], 403),
        ("/servers/nobody", [("authorization", "Bearer ada")], 404),
        ("/nowhere", [("authorization", "Bearer ada")], 404),
        ("", [], 401),
        ("", [("authorization", "Bearer eve")], 401),
    ],
)
async def test_whoever_may_not_come_in_is_told_so_over_http(
    path: str, headers: list[tuple[str, str]], status: int
) -> None:
    async with doorway(Replica(), plan=Plan(verify=verify)) as gateway:
        refused = await opened(gateway, path, headers)
        bare = await opened(gateway, path, headers, extensions=())
        await refused.ended()

    begin, body = refused.sent
    assert (begin["type"], begin["status"], body["type"]) == (f"{HTTP}.start", status, f"{HTTP}.body")
    assert json.loads(body["body"])["error"]["message"]
    assert (b"www-authenticate" in dict(begin["headers"])) is (status == 401)
    assert bare.code == 4000 + status
    assert refused.accepted is bare.accepted is None


async def test_whoever_has_a_credential_is_let_in_and_speaks_for_itself() -> None:
    replica = Replica()
    async with doorway(replica, plan=Plan(verify=verify)) as gateway:
        client = ChannelClient(WsWire(gateway, headers=[("authorization", "Bearer ada")]))
        await client.initialize()
        await client.ask("tools/call", {"name": "git__echo"})
        await client.wire.leave()

    assert replica.exchanges[-1].call.principal == Principal("ada", "", Kind.KEY).key


async def test_whoever_is_not_welcome_any_more_is_let_go() -> None:
    async with doorway(Replica(), plan=Plan(verify=verify)) as gateway:
        gateway.ingress._ws = WsDoor(gateway.assembly.channels, check_seconds=0.01)
        wire = await opened(gateway, headers=[("authorization", "Bearer ada")])

        wire.scope["headers"][:] = [(b"host", b"127.0.0.1:8080"), (b"authorization", b"Bearer eve")]
        await wire.ended()

    assert wire.code == 4401


async def test_a_binary_frame_is_no_message() -> None:
    async with doorway(Replica()) as gateway:
        wire = await opened(gateway)

        wire.put(bytes=PING.encode(), text=None)
        await until(lambda: bool(wire.messages))
        wire.put(text=PING)
        await until(lambda: len(wire.messages) == 2)
        await wire.leave()

    assert [each.get("error", {}).get("code") for each in wire.messages] == [-32700, None]
    assert wire.messages[0]["id"] is None


async def test_three_frames_in_a_row_that_are_no_messages_close_the_connection_and_two_do_not() -> None:
    async with doorway(Replica()) as gateway:
        patient, wire = await opened(gateway), await opened(gateway)

        for text in ("{", "{", PING, "{", "{", PING):
            patient.put(text=text)
        for text in ("{", '{"jsonrpc":"2.0"}', "[]"):
            wire.put(text=text)
        await wire.ended()
        await until(lambda: len(patient.messages) == 6)
        await patient.leave()

    assert wire.code == 1007
    assert patient.code is None


async def test_a_frame_over_the_limit_closes_the_connection_and_one_at_the_limit_does_not() -> None:
    limit = 1024
    async with doorway(Replica(), plan=Plan(server=ServerSettings(max_body_bytes=limit))) as gateway:
        wire = await opened(gateway)

        wire.put(text=PING + " " * (limit - len(PING)))
        await until(lambda: bool(wire.messages))
        wire.put(text="ü" * (limit // 2 + 1))
        await wire.ended()

    assert wire.messages[0]["result"] == {}
    assert wire.code == 1009


async def test_a_client_that_says_goodbye_needs_no_answer() -> None:
    async with doorway(Replica()) as gateway:
        wire = await opened(gateway)

        wire.disconnect()
        await wire.ended()

        assert len(gateway.assembly.channels) == 0
    assert wire.code is None


async def test_connections_are_counted_by_what_they_got() -> None:
    async with doorway(Replica(), plan=Plan(verify=verify)) as gateway:
        await opened(gateway)
        admitted = await opened(gateway, headers=[("authorization", "Bearer ada")])
        await admitted.leave()

    assert gateway.tallying.tally.responses == {"4xx": 1, "1xx": 1}


def test_every_ending_has_its_parting() -> None:
    assert PARTINGS.keys() == set(Ending)
    assert all(len(parting.reason.encode()) <= 123 for parting in PARTINGS.values()), "RFC 6455, 5.5"
