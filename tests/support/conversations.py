"""Conversations with servers of either era, over memory."""

import json
from typing import Any

from actors.core import jsonrpc
from actors.core.jsonrpc import Message
from actors.transports.memory import MemoryTransport
from actors.upstream.asking import Asking
from actors.upstream.handshake import HandshakeUpstream
from actors.upstream.modern import ModernUpstream
from actors.upstream.upstream import SETTLED, UPDATED, Upstream
from tests.support.hand_timers import HandTimers
from tests.support.recorder import LIMIT
from tests.support.upstreams import Json, ListenerRecorder, TableServer, memory_to, tool_call


class Conversation:
    """A server, the adapter that speaks with it, and what it notified."""

    upstream: Upstream

    def __init__(self, server: TableServer, transport: MemoryTransport) -> None:
        self.server = server
        self.transport = transport
        self.messages: list[Message] = []

    @property
    def notified(self) -> list[str | None]:
        """The methods of what belonged to no call."""
        return [message.method for message in self.messages]

    @property
    def updated(self) -> list[str]:
        """The resources that were said to be updated."""
        return self._uris(UPDATED)

    @property
    def settled(self) -> list[str]:
        """The resources for which the server is said to have answered whether it tells of them."""
        return self._uris(SETTLED)

    def _uris(self, method: str) -> list[str]:
        return [json.loads(bytes(message.params))["uri"] for message in self.messages if message.method == method]

    def start(self, **fields: Any) -> tuple[int, ListenerRecorder]:
        """Start a call; gives its number, which is the id of its request, too."""
        listener = ListenerRecorder()
        return self.upstream.start(tool_call(**fields), listener), listener

    async def call(self, **fields: Any) -> ListenerRecorder:
        """Start a call and wait for its outcome."""
        _, listener = self.start(**fields)
        await listener.outcome()
        return listener

    def say(self, method: str, **params: Any) -> None:
        """Let the server notify something, on no stream of a call."""
        self.transport.deliver(jsonrpc.notification(method, json.dumps(params).encode()))

    def say_on(self, number: int, method: str, **params: Any) -> None:
        """Let the server notify something on the stream of a request, as it can over HTTP."""
        self.stream(number, jsonrpc.notification(method, json.dumps(params).encode()))

    def stream(self, number: int, body: bytes) -> None:
        """Receive a message on the stream of a request."""
        self.transport._pending._sinks[number].message(jsonrpc.decode_message(body))


class Old(Conversation):
    """One of the handshake era."""

    def __init__(self, server: TableServer, transport: MemoryTransport, **options: Any) -> None:
        super().__init__(server, transport)
        self.upstream = HandshakeUpstream(Asking(transport), "git", self.messages.append, **options)

    def ask(self, request_id: Any, method: str, **params: Any) -> None:
        """Let the server request something, on no stream of a call."""
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        self.transport.deliver(json.dumps(message).encode())

    def ask_on(self, number: int, request_id: Any, method: str, **params: Any) -> None:
        """Let the server request something on the stream of a call, as it can over HTTP."""
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        self.stream(number, json.dumps(message).encode())

    @property
    def answers(self) -> list[Json]:
        """What the server got back for what it requested."""
        return [heard for heard in self.server.heard if "method" not in heard]


class Modern(Conversation):
    """One of the modern era."""

    def __init__(self, server: TableServer, transport: MemoryTransport) -> None:
        super().__init__(server, transport)
        self.timers = HandTimers()
        self.upstream = ModernUpstream(Asking(transport), "git", self.messages.append, call_later=self.timers)


async def initialized(server: TableServer, **options: Any) -> Old:
    """A conversation after the handshake."""
    old = Old(server, await memory_to(server), **options)
    await old.upstream.initialize(LIMIT)
    return old


async def discovered(server: TableServer, **options: Any) -> Modern:
    """A conversation after discovery; `options` are those of the transport."""
    modern = Modern(server, await memory_to(server, **options))
    await modern.upstream.discover(LIMIT)
    return modern
