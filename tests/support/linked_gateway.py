"""A Router, the replicas of a backend and an ingress as plain objects in one loop, on links between nodes."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from actors.backend import Backend
from actors.bus.attachment import Attachment
from actors.bus.dialer import CallerLink, dial
from actors.bus.keychain import Keychain
from actors.core import jsonrpc
from actors.core.endpoints import StdioEndpoint
from actors.core.membership import ReplicaKey, ReplicaState
from actors.core.outcome import Failure, Reply
from actors.core.settings import BackendSettings, Naming
from actors.core.view import View
from actors.router import Router
from actors.transports.memory import MemoryTransport
from serve_app.link_rotation import LinkRotation
from serve_app.links import Links
from serve_app.outlook import Outlook
from tests.support.backends import outcome_of
from tests.support.bus import exchange_id, link_key, until
from tests.support.control_plane import RecordingMetrics
from tests.support.hand_clock import HandClock
from tests.support.upstreams import echo, handshake_server, tool, tool_call

SETTINGS = BackendSettings(name="git", endpoint=StdioEndpoint(command="git-mcp"), replicas=2)
PERIOD = 100.0
"""Seconds on the clock of the maker of keys."""


class LinkedGateway:
    """Keys are made when `rotate` is called; replicas and ingress hear of them as they do in the real one."""

    def __init__(self, folder: str) -> None:
        self.maker_clock = HandClock()
        self.router: Any = self._new_router()
        self.rotation = LinkRotation(_Current(self), PERIOD, make=link_key, clock=self.maker_clock)
        self.keychains = [Keychain() for _ in range(SETTINGS.replicas)]
        self.backends = [self._new_backend(index, folder) for index in range(SETTINGS.replicas)]
        self.ingress_keys = Keychain()
        self.dialled: list[CallerLink] = []
        self.failing = 0
        """How many dials from now on get no answer."""
        self.links = Links("another node", self._dial, lambda: 0.0)
        self.outlook = Outlook(lambda: self.router, self.see)
        self._ids = count(1)
        self.transports: list[MemoryTransport] = []
        self._generations = count(2)

    @property
    def open(self) -> list[CallerLink]:
        """The links that are not closed."""
        return [link for link in self.dialled if not link.closed]

    @property
    def is_up(self) -> bool:
        """Whether the ingress has heard that every replica takes calls: links are opened before that."""
        backend = self.outlook.view.backends.get("git")
        ups = [] if backend is None else [each for each in backend.replicas if each.state is ReplicaState.UP]
        return len(ups) == SETTINGS.replicas

    async def rotate(self) -> int:
        """Make the next key and wait until new links are opened with it; its number."""
        self.maker_clock.advance(PERIOD)
        await self.rotation.look()
        number = self.rotation.keys.number
        await until(lambda: self.looked() and self.ingress_keys.keys.number == number)
        return number

    def looked(self) -> bool:
        """Have the Router look round, as it does every second."""
        self.router.look_round()
        return True

    async def restart_router(self) -> None:
        """The Router forgets everything; the command tells it what it must know."""
        orders = await self.router.orders("", 0)
        self.router = self._new_router(f"g{next(self._generations)}")
        await self.router.adopt(orders)
        await self.rotation.look()

    def hold(self, link: CallerLink) -> Attachment:
        """A call that has no answer before `release`."""
        return link.open(tool_call("hold"), exchange_id(next(self._ids)))

    @property
    def holding(self) -> bool:
        """Whether a server has got such a call."""
        return any(b'"hold"' in sent.body for each in self.transports for sent in each.requests)

    def release(self) -> None:
        """Answer it."""
        for transport in self.transports:
            for sent in transport.requests:
                if b'"hold"' in sent.body:
                    transport.deliver(jsonrpc.result_response(sent.message.id, b'{"content":[]}'))

    async def call(self, number: int) -> str:
        """Call over whatever link is there; what is wrong with the answer, or nothing."""
        chosen = self.links.choose(self.outlook.view.backends["git"])
        if chosen is None:
            return "no link"
        attachment = chosen[1].open(tool_call("echo", {"number": number}), exchange_id(next(self._ids)))
        outcome = await outcome_of(attachment)
        if isinstance(outcome, Failure):
            return f"{outcome.kind}: {outcome.detail}"
        assert isinstance(outcome, Reply)
        text = json.loads(outcome.body)["content"][0]["text"]
        return "" if json.loads(text) == {"number": number} else f"the answer to another call: {text}"

    def _new_router(self, generation: str = "g1") -> Router:
        metrics: Any = RecordingMetrics()
        return Router([SETTINGS], Naming.QUALIFIED, generation=generation, metrics=metrics, watch_seconds=0.5)

    def _new_backend(self, index: int, folder: str) -> Backend:
        router: Any = _Current(self)
        return Backend(
            SETTINGS,
            ReplicaKey("git", index),
            epoch="e1",
            node=f"node {index}",
            keys=self.keychains[index],
            addresses=(f"unix:{folder}/{index}", "tcp:127.0.0.1:0"),
            router=router,
            connect=self._connect,
            dice=lambda: 0.0,
            beat_seconds=0.25,
        )

    def _connect(self, _: BackendSettings) -> MemoryTransport:
        server = handshake_server(tool("echo"), tool("hold"))
        server.answers["tools/call"] = lambda params: None if params["name"] == "hold" else echo(params)
        self.transports.append(MemoryTransport(server=server))
        return self.transports[-1]

    def see(self, view: View) -> None:
        """What the ingress does with a View."""
        if view.link_keys is not None:
            self.ingress_keys.adopt(view.link_keys)
        self.links.update(view)

    async def _dial(self, address: str, backend: str, on_lost: Callable[[str], None]) -> CallerLink:
        if self.failing:
            self.failing -= 1
            raise TimeoutError
        link = await dial(address, self.ingress_keys, backend=backend, on_closed=on_lost)
        assert address.startswith("tcp:")
        self.dialled.append(link)
        return link


class _Current:
    """The Router that there is now, for those who hold a reference for ever."""

    def __init__(self, gateway: LinkedGateway) -> None:
        self._gateway = gateway

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway.router, name)


@asynccontextmanager
async def linked_gateway() -> AsyncIterator[LinkedGateway]:
    """One whose replicas are up, and linked."""
    with tempfile.TemporaryDirectory(prefix="lg") as folder:
        gateway = LinkedGateway(folder)
        await gateway.rotation.begin()
        following = asyncio.create_task(gateway.outlook.follow())
        try:
            await asyncio.gather(*(backend.begin() for backend in gateway.backends))
            await until(lambda: len(gateway.open) == SETTINGS.replicas and gateway.is_up)
            yield gateway
        finally:
            following.cancel()
            gateway.links.close()
            await asyncio.gather(*(backend.stop(0.0) for backend in gateway.backends))
