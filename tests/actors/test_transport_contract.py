"""What every transport promises. A new one is a new class of peer, and a line in `PEERS`.

A peer is the server's side of one transport: it says the lines it is told to, in order, and goes away on demand.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest

from actors.core.jsonrpc import Message, notification
from actors.core.outcome import FailureKind
from actors.transports.memory import MemoryTransport
from actors.transports.transport import Transport
from tests.support.http_servers import HttpPeer
from tests.support.processes import eventually
from tests.support.recorder import Recorder, open_request
from tests.support.sse_servers import SsePeer
from tests.support.stdio_servers_owner import stdio_to
from tests.support.ws_servers import WsPeer


class Peer(Protocol):
    transport: Transport

    async def start(self) -> None: ...

    async def say(self, *messages: dict[str, Any]) -> None:
        """Send messages to the transport, in this order."""

    async def leave(self) -> None:
        """Go away without a word."""


class MemoryPeer:
    def __init__(self) -> None:
        self.transport = MemoryTransport()

    async def start(self) -> None:
        await self.transport.connect()

    async def say(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.transport.deliver(json.dumps(message).encode())

    async def leave(self) -> None:
        self.transport.lose("it left")


class StdioPeer:
    def __init__(self) -> None:
        self.transport = stdio_to("play")

    async def start(self) -> None:
        await self.transport.connect()

    async def say(self, *messages: dict[str, Any]) -> None:
        lines = json.dumps({"lines": [json.dumps(message) for message in messages]})
        self.transport.send(notification("play", lines.encode()), {})

    async def leave(self) -> None:
        self.transport.send(notification("exit", b'{"code": 0}'), {})


LINKED = {"memory": MemoryPeer, "stdio": StdioPeer, "sse": SsePeer, "websocket": WsPeer}
"""Transports with one lasting connection, so that it can be lost."""

PEERS = {**LINKED, "http": HttpPeer}


@asynccontextmanager
async def started(peer: Peer) -> AsyncIterator[Peer]:
    await peer.start()
    yield peer
    await peer.transport.close()
    await peer.leave()


@pytest.fixture(params=PEERS)
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    async with started(PEERS[request.param]()) as peer:
        yield peer


@pytest.fixture(params=LINKED)
async def linked_peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    async with started(LINKED[request.param]()) as peer:
        yield peer


def response(request_id: Any, text: str = "ok") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": {"text": text}}


def progress(token: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}}


async def test_a_response_reaches_the_sink_of_its_request(peer: Peer) -> None:
    first, second = open_request(peer.transport, 1), open_request(peer.transport, 2)

    await peer.say(response(2, "two"), response(1, "one"))

    assert await first.result() == {"text": "one"}
    assert await second.result() == {"text": "two"}


async def test_shuffled_responses_each_reach_their_own_sink(peer: Peer) -> None:
    recorders = {number: open_request(peer.transport, number) for number in range(200)}

    await peer.say(*(response(number * 77 % 200, str(number * 77 % 200)) for number in range(200)))

    assert [await recorder.result() for recorder in recorders.values()] == [{"text": str(n)} for n in range(200)]
    assert all(len(recorder.messages) == 1 for recorder in recorders.values())


async def test_an_error_is_a_response(peer: Peer) -> None:
    recorder = open_request(peer.transport, 1)

    await peer.say({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no such method"}})
    await recorder.ended()

    assert b"no such method" in bytes(recorder.messages[0].error)


async def test_progress_reaches_the_request_whose_id_is_its_token(peer: Peer) -> None:
    first, second = open_request(peer.transport, 1), open_request(peer.transport, 2)

    await peer.say(progress(2), response(1), response(2))
    await first.ended()
    await second.ended()

    assert [message.method for message in first.messages] == [None]
    assert [message.method for message in second.messages] == ["notifications/progress", None]


async def test_a_late_response_to_a_dropped_request_is_discarded(peer: Peer) -> None:
    dropped, other = open_request(peer.transport, 1), open_request(peer.transport, 2)

    peer.transport.drop(1)
    await peer.say(response(1), response(2))
    await other.result()

    assert dropped.messages == dropped.failures == []


async def test_what_belongs_to_no_open_request_is_unsolicited(peer: Peer) -> None:
    heard: list[Message] = []
    peer.transport.unsolicited = heard.append
    recorder = open_request(peer.transport, 1)

    await peer.say(
        {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"},
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        progress("a text"),
        progress(5),
        response(1),
    )
    await recorder.result()

    assert [message.method for message in heard] == [
        "notifications/tools/list_changed",
        "ping",
        "notifications/progress",
        "notifications/progress",
    ]


async def test_a_response_to_nobody_disturbs_nothing(peer: Peer) -> None:
    heard: list[Message] = []
    peer.transport.unsolicited = heard.append
    recorder = open_request(peer.transport, 1)

    await peer.say(*(response(bad) for bad in (99, "1", None, 1.5, True, -1, 10**30)), {"jsonrpc": "2.0"}, response(1))

    assert await recorder.result() == {"text": "ok"}
    assert len(recorder.messages) == 1
    assert heard == []


async def test_a_response_that_says_nothing_fails_its_request(peer: Peer) -> None:
    recorder = open_request(peer.transport, 1)

    await peer.say({"jsonrpc": "2.0", "id": 1})

    assert (await recorder.failure())[0] is FailureKind.PROTOCOL


async def test_a_lost_peer_fails_every_open_request_once_and_then_closes_once(linked_peer: Peer) -> None:
    order: list[str] = []
    recorders = [open_request(linked_peer.transport, number) for number in range(3)]
    linked_peer.transport.closed = lambda reason: order.append(f"{[len(r.failures) for r in recorders]} {bool(reason)}")

    await linked_peer.leave()
    await eventually(lambda: order)
    await linked_peer.transport.close()

    assert order == ["[1, 1, 1] True"]
    assert [recorder.kinds for recorder in recorders] == [[FailureKind.DISCONNECTED]] * 3


async def test_a_request_on_a_lost_connection_was_certainly_not_seen(linked_peer: Peer) -> None:
    lost: list[str] = []
    linked_peer.transport.closed = lost.append
    await linked_peer.leave()
    await eventually(lambda: lost)

    recorder = open_request(linked_peer.transport, 1)
    linked_peer.transport.send(notification("notifications/cancelled"), {})

    assert (await recorder.failure())[0] is FailureKind.UNAVAILABLE


async def test_a_request_before_connect_was_certainly_not_seen() -> None:
    for make in PEERS.values():
        recorder = open_request(make().transport, 1)

        assert (await recorder.failure())[0] is FailureKind.UNAVAILABLE


async def test_close_ends_open_requests_is_no_loss_and_can_be_repeated(peer: Peer) -> None:
    lost: list[str] = []
    peer.transport.closed = lost.append
    recorder = open_request(peer.transport, 1)

    await asyncio.gather(peer.transport.close(), peer.transport.close())
    await peer.transport.close()
    late = open_request(peer.transport, 2)

    assert recorder.kinds == [FailureKind.DISCONNECTED]
    assert (await late.failure())[0] is FailureKind.UNAVAILABLE
    assert lost == []


async def test_a_sink_may_open_the_next_request_when_its_own_fails(peer: Peer) -> None:
    retry = Recorder()

    class Retrying(Recorder):
        def failed(self, kind: FailureKind, detail: str) -> None:
            super().failed(kind, detail)
            peer.transport.open(2, b'{"jsonrpc":"2.0","id":2,"method":"echo","params":{}}', {}, retry)

    first = Retrying()
    peer.transport.open(1, b'{"jsonrpc":"2.0","id":1,"method":"echo","params":{}}', {}, first)
    await peer.leave()

    assert (await first.failure())[0] is FailureKind.DISCONNECTED
    assert (await retry.failure())[0] is FailureKind.UNAVAILABLE
