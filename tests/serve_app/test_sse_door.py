"""HTTP+SSE: where a stream is opened, who may post to it, and what comes of what is wrong."""

from typing import Any

import pytest

from actors.core.incident import Incident
from actors.core.principal import Kind, Principal, Refusal, Verdict
from actors.core.settings import ServerSettings
from tests.support.asgi import ask, start
from tests.support.bus import until
from tests.support.bus_peers import connect_stranger
from tests.support.channel_clients import ChannelClient, SseWire
from tests.support.house import Doorway, Plan, Replica, doorway, house

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
GUARDED = {"ada": Principal("ada", "", Kind.KEY), "eve": Principal("eve", "", Kind.KEY)}


async def verify(credential: str) -> Verdict:
    principal = GUARDED.get(credential)
    return Verdict(principal, None if principal else Refusal.INVALID, 60.0)


async def opened(gateway: Doorway, path: str = "", **more: Any) -> SseWire:
    wire = SseWire(gateway, path, **more)
    await wire.open()
    return wire


@pytest.mark.parametrize("path", ["", "/servers/git"])
async def test_a_stream_begins_with_the_address_to_post_to(path: str) -> None:
    async with doorway(Replica()) as gateway:
        wire = await opened(gateway, path)
        await wire.leave()

    assert wire.address.startswith(f"{path}/messages?session=")
    assert (wire.stream.status, wire.stream.header("content-type")) == (200, "text/event-stream")
    assert wire.stream.header("x-accel-buffering") == "no"


async def test_a_stranger_where_other_ingress_replicas_bring_messages_is_counted() -> None:
    async with doorway(Replica()) as gateway:
        place = await gateway.assembly.relay.place(b"c" * 16)
        stranger = await connect_stranger(place.address)
        stranger.transport.write(b"GET / HTTP/1.1\r\n\r\n")

        await until(lambda: bool(gateway.tallying.tally.incidents))

    assert [each.incident for each in gateway.tallying.tally.incidents] == [Incident.LINK_REFUSED]


@pytest.mark.parametrize("accept", [None, "*/*", "text/event-stream", "text/*;q=0.5"])
async def test_any_accept_header_with_room_for_a_stream_will_do(accept: str | None) -> None:
    async with doorway(Replica()) as gateway:
        stream = start(gateway, "GET", "/sse", [] if accept is None else [("accept", accept)])
        await stream.until(lambda each: b"endpoint" in each.body)
        await stream.leave()

    assert stream.status == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/sse", [("accept", "application/json")], 406),
        ("POST", "/sse", [], 405),
        ("DELETE", "/sse", [], 405),
        ("GET", "/messages?session=x", [], 405),
        ("GET", "/servers/nobody/sse", [], 404),
        ("POST", "/servers/nobody/messages?session=x", [], 404),
        ("GET", "/sse/more", [], 404),
        ("GET", "/sse", [("origin", "https://elsewhere.example.org")], 403),
        ("GET", "/sse", [("host", "rebound.example.org")], 403),
    ],
)
async def test_what_is_no_stream_is_refused_with_a_reason(
    method: str, path: str, headers: list[tuple[str, str]], status: int
) -> None:
    async with doorway(Replica()) as gateway:
        refused = await ask(gateway, method, path, headers)

    assert refused.status == status
    assert refused.json["error"]["message"]
    assert (refused.header("allow") is not None) is (status == 405)


@pytest.mark.parametrize("body", [b"no JSON", b'{"jsonrpc":"1.0","id":1,"method":"ping"}', b"[]"])
async def test_a_body_that_is_no_message_is_refused_where_it_is_posted(body: bytes) -> None:
    async with doorway(Replica()) as gateway:
        wire = await opened(gateway)

        refused = await wire.post(body)
        await wire.leave()

    assert refused.status == 400
    assert refused.json["error"]["code"] in (-32700, -32600)
    assert wire.messages == []


async def test_a_body_over_the_limit_is_refused() -> None:
    async with doorway(Replica(), plan=Plan(server=ServerSettings(max_body_bytes=1024))) as gateway:
        wire = await opened(gateway)

        refused = await wire.post(b" " * 1025)
        await wire.leave()

    assert refused.status == 413


@pytest.mark.parametrize(
    "spoil",
    [
        lambda address: "/messages",
        lambda address: "/messages?session=",
        lambda address: address[:-1],
        lambda address: address[:-2] + ("AA" if address[-2:] != "AA" else "BB"),
        lambda address: f"/servers/git{address}",
    ],
    ids=["none", "empty", "cut", "changed", "of another endpoint"],
)
async def test_an_address_that_was_not_given_leads_nowhere(spoil: Any) -> None:
    async with doorway(Replica()) as gateway:
        wire = await opened(gateway)
        wire.address = spoil(wire.address)

        refused = await wire.post(PING)
        await wire.leave()

    assert refused.status == 404
    assert wire.messages == []


async def test_the_address_of_a_stream_that_has_ended_leads_nowhere() -> None:
    async with doorway(Replica()) as gateway:
        wire = await opened(gateway)
        await wire.leave()

        refused = await wire.post(PING)

    assert refused.status == 404


async def test_every_post_is_authenticated_and_only_the_streams_own_principal_may_post() -> None:
    ada, eve = ([("authorization", f"Bearer {name}")] for name in GUARDED)
    async with doorway(Replica(), plan=Plan(verify=verify)) as gateway:
        wire = await opened(gateway, headers=ada)

        own = await wire.post(PING)
        stranger = await wire.post(PING, headers=[])
        other = await wire.post(PING, headers=eve)
        await until(lambda: bool(wire.messages))
        await wire.leave()

        unknown = await ask(gateway, "GET", "/sse")

    assert (own.status, stranger.status, other.status, unknown.status) == (202, 401, 404, 401)
    assert wire.messages == [{"jsonrpc": "2.0", "id": 1, "result": {}}]


async def test_a_silent_stream_shows_that_it_lives_even_before_initialize() -> None:
    async with doorway(Replica(), plan=Plan(keep_alive=0.02)) as gateway:
        wire = await opened(gateway)
        await wire.stream.until(lambda stream: stream.body.count(b":\n\n") >= 2)
        await wire.leave()

    assert wire.messages == []


async def test_what_is_posted_at_another_ingress_replica_reaches_the_stream() -> None:
    replica = Replica()
    async with house(replica) as built:
        here, there = built.doorway(), built.doorway()
        client = ChannelClient(SseWire(here, posts_to=there))

        await client.initialize()
        called = await client.ask("tools/call", {"name": "git__echo", "arguments": {"a": "ü" * 100_000}})
        links = there.assembly.relay.links
        await client.wire.leave()
        assert isinstance(client.wire, SseWire)
        refused = await client.wire.post(PING)

    assert called["result"]["got"] == {"a": "ü" * 100_000}
    assert links == 1
    assert refused.status == 404


async def test_a_stream_whose_ingress_replica_is_gone_leads_nowhere() -> None:
    async with house(Replica()) as built:
        here, there = built.doorway(), built.doorway()
        wire = await opened(here, posts_to=there)
        await here.assembly.relay.close()

        refused = await wire.post(PING)
        await wire.leave()

    assert refused.status == 404
