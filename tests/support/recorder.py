"""A sink that remembers, and a short way to open a request with one."""

import asyncio
import json
from typing import Any

import msgspec

from actors.core.jsonrpc import Message, request
from actors.core.outcome import FailureKind
from actors.transports.transport import Transport

LIMIT = 10.0
"""Seconds, for everything that takes milliseconds."""


class Recorder:
    """Everything one request heard, in order."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.failures: list[tuple[FailureKind, str]] = []
        self._ended = asyncio.Event()

    def message(self, message: Message) -> None:
        """See `Sink.message`."""
        self.messages.append(message)
        if message.method is None:
            self._ended.set()

    def failed(self, kind: FailureKind, detail: str) -> None:
        """See `Sink.failed`."""
        self.failures.append((kind, detail))
        self._ended.set()

    @property
    def kinds(self) -> list[FailureKind]:
        """How the request failed; once at most, if all is well."""
        return [kind for kind, _ in self.failures]

    async def result(self) -> Any:
        """Wait for the response and decode its result."""
        await self.ended()
        assert not self.failures, self.failures
        return msgspec.json.decode(self.messages[-1].result)

    async def failure(self) -> tuple[FailureKind, str]:
        """Wait for the failure."""
        await self.ended()
        assert self.failures, self.messages
        return self.failures[-1]

    async def ended(self) -> None:
        """Wait for the response or the failure."""
        async with asyncio.timeout(LIMIT):
            await self._ended.wait()


def open_request(transport: Transport, request_id: int, method: str = "echo", **params: Any) -> Recorder:
    """Open a request; what it hears is in the recorder."""
    recorder = Recorder()
    body = request(request_id, method, json.dumps(params).encode())
    transport.open(request_id, body, {}, recorder)
    return recorder
