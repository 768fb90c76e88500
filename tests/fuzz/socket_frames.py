"""Frames of a client on a WebSocket, and another client on his own."""

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from serve_app.downstream.ws_door import FAILED
from tests.fuzz.fuzzing import Found, turning
from tests.fuzz.mutations import Mutator
from tests.fuzz.seeds import LEGACY_MESSAGES, META, NOTIFICATIONS, REQUESTS, as_json
from tests.support.channel_clients import ChannelClient, WsWire
from tests.support.house import Doorway, House, Replica, echo, house

MESSAGES: Final = (*REQUESTS, *LEGACY_MESSAGES, *NOTIFICATIONS[:4])
LINES: Final = [*(as_json(message) for message in MESSAGES), as_json(MESSAGES[:3])]
REVISIONS: Final = ("2025-11-25", "2025-03-26")
"""Without and with batches."""

INPUTS_A_WIRE: Final = 100


class SocketFrames:
    """Spoilt frames on one connection after the other; one that says too much nonsense is closed by the gateway."""

    def __init__(self, built: House, replica: Replica, doorway: Doorway) -> None:
        self.last = b""
        self._house = built
        self._replica = replica
        self._doorway = doorway
        self._turns = 0
        self._since = 0
        self._words: list[str] = []
        """What was said in calls on this connection."""
        self._former: deque[str] = deque(maxlen=1000)
        """The same of connections before."""
        self._client: ChannelClient
        self._canary: ChannelClient

    async def begin(self) -> None:
        """Connect both clients."""
        self._since = self._turns
        self._former.extend(self._words)
        self._words.clear()
        self._client = ChannelClient(WsWire(self._doorway), REVISIONS[self._turns % 2])
        self._canary = ChannelClient(WsWire(self._doorway))
        for client in (self._client, self._canary):
            await client.initialize(META["io.modelcontextprotocol/clientCapabilities"])

    async def end(self) -> None:
        """Let both clients go."""
        for client in (self._client, self._canary):
            await client.wire.leave()

    async def feed(self, mutator: Mutator) -> bool:
        """See `Target.feed`."""
        self._turns += 1
        wire = self._wire
        if wire.closed or self._turns - self._since >= INPUTS_A_WIRE:
            await self.end()
            await self.begin()
            wire = self._wire
        before = len(wire.sent)
        message = mutator.dice.choice(MESSAGES)
        if message.get("method") == "tools/call":
            self._words.append(mutator.dice.randbytes(6).hex())
            message = {**message, "params": {**message["params"], "arguments": {"word": self._words[-1]}}}
        self.last = mutator.json_of(message) if mutator.chance(0.6) else mutator.bytes_of([as_json(message), *LINES])
        await self._sent(wire, self.last.decode(errors="replace"))
        said = wire.sent[before:]
        for each in said:
            self._check(each)
        return len(said) > 1  # the answer to the ping is always among it

    async def canary(self) -> None:
        """See `Target.canary`."""
        told = {"canary": self._turns}
        answer = await self._canary.ask("tools/call", {"name": "git__echo", "arguments": told}, request_id=self._turns)
        if answer["result"]["got"] != told:
            raise Found(f"the canary {told} got {answer}")
        self._replica.exchanges.clear()
        self._replica.origins.clear()
        await self._doorway.tallying.send()
        self._house.metrics.reports.clear()

    @property
    def _wire(self) -> WsWire:
        assert isinstance(self._client.wire, WsWire)
        return self._client.wire

    async def _sent(self, wire: WsWire, text: str) -> None:
        """Send a frame, and a ping behind it; wait for the answer to that, or for the end of the connection."""
        wire.put(text=text)
        mark = f"after {self._turns}"
        await self._client.start("ping", request_id=mark)
        await turning(lambda: wire.closed or any(mark in each.get("text", "") for each in wire.sent[-8:]))

    def _check(self, sent: Any) -> None:
        if sent["type"] == "websocket.close" and sent["code"] == FAILED.code:
            raise Found("the gateway failed on this connection")
        if sent["type"] != "websocket.send":
            return
        told = json.loads(sent["text"])
        for message in told if isinstance(told, list) else [told]:
            if message["jsonrpc"] != "2.0":
                raise Found(f"{message} is no JSON-RPC")
            got = message.get("result", {}).get("got")
            if isinstance(got, dict) and got.get("word") in self._former:
                raise Found(f"on this connection nobody said {got}")


@asynccontextmanager
async def socket_frames() -> AsyncIterator[SocketFrames]:
    """The target."""
    replica = Replica(behave=echo)
    async with house(replica) as built:
        doorway = built.doorway()
        await doorway.linked()
        target = SocketFrames(built, replica, doorway)
        await target.begin()
        yield target
        await target.end()
