"""A client of one kind with a server of one kind, and what items of several sorts need."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tests.support.cross_era_client import Client
from tests.support.processes import eventually

WAIT: Final = 15.0
"""Seconds for what is told when it happens."""


@dataclass(frozen=True)
class Pair:
    """Nobody else uses the server meanwhile."""

    client: Client
    modern_server: bool
    bystander: Client
    """Another client of the same kind, in a session of its own if there are sessions."""

    @asynccontextmanager
    async def crowd(self) -> AsyncIterator[None]:
        """While the bystander has a call under way."""
        async with slow_call(self.bystander):
            yield


@asynccontextmanager
async def slow_call(client: Client) -> AsyncIterator[None]:
    """A call that runs at the server as long as the block lasts, and is cancelled there at its end."""
    before = await _ran(client)
    running = client.begin("tools/call", {"name": "slow", "arguments": {"seconds": 300}})
    await eventually(lambda: _grew(client, "started", before), WAIT)
    try:
        yield
    finally:
        await client.cancel(running)
        await eventually(lambda: _grew(client, "cancelled", before), WAIT)


async def completed(client: Client, argument: str, value: str) -> list[str]:
    """What the server completes an argument to."""
    params = {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": argument, "value": value}}
    values: list[str] = (await client.request("completion/complete", params)).value["completion"]["values"]
    return values


async def _ran(client: Client) -> dict[str, int]:
    counts: dict[str, int] = (await client.call("ran")).value["structuredContent"]
    return counts


async def _grew(client: Client, what: str, before: dict[str, int]) -> bool:
    return (await _ran(client))[what] == before[what] + 1
