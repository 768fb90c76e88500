"""Every kind of client with every kind of server, through one gateway."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import httpx

from tests.support.cross_era_client import Client
from tests.support.cross_era_items import ITEMS, Pair
from tests.support.cross_era_legacy import SseClient, StreamableClient, WebSocketClient
from tests.support.cross_era_modern import ModernClient
from tests.support.cross_era_verdict import WORKS, Verdict
from tests.support.gateway_process import GatewayProcess, gateway, module
from tests.support.processes import listening

FIXTURE: Final = "tests.support.fixture_server"
ITEM_SECONDS: Final = 60.0


class Cell(NamedTuple):
    """One field of the table."""

    client: str
    server: str
    item: str


Findings = Mapping[Cell, Verdict]

SERVERS: Final = {
    "legacy_stdio": "handshake era, stdio",
    "legacy_http": "handshake era, streamable HTTP",
    "legacy_sse": "handshake era, HTTP+SSE",
    "modern_http": "2026-07-28, streamable HTTP",
    "modern_stdio": "2026-07-28, stdio",
}
"""The backends, and what each is."""


@dataclass(frozen=True)
class Kind:
    """One kind of client."""

    revision: str
    over: str
    path: str = "mcp"


CLIENTS: Final = {
    "2024-11-05": Kind("2024-11-05", "HTTP+SSE", "sse"),
    "2025-03-26": Kind("2025-03-26", "streamable HTTP"),
    "2025-06-18": Kind("2025-06-18", "streamable HTTP"),
    "2025-11-25": Kind("2025-11-25", "streamable HTTP"),
    "websocket": Kind("2025-11-25", "WebSocket", "ws"),
    "2026-07-28": Kind("2026-07-28", "streamable HTTP"),
}
"""The clients, by the name of each in the table."""


@contextmanager
def cross_era_gateway(folder: Path) -> Iterator[GatewayProcess]:
    """A gateway in front of a fixture server of each kind."""
    with ExitStack() as stack:
        legacy = stack.enter_context(listening(FIXTURE, "--http", "0", "--era", "legacy"))
        modern = stack.enter_context(listening(FIXTURE, "--http", "0", "--era", "modern"))
        sse = stack.enter_context(listening("tests.support.fixture_sse", "0"))
        servers = {
            "legacy_stdio": module(FIXTURE, "--stdio", "--era", "legacy"),
            "legacy_http": {"url": legacy.url, "type": "http"},
            "legacy_sse": {"url": f"{sse.origin}/sse", "type": "sse"},
            "modern_http": {"url": modern.url},
            "modern_stdio": module(FIXTURE, "--stdio", "--era", "modern"),
        }
        yield stack.enter_context(gateway(folder, servers))


class Visitors:
    """Makes clients of one gateway."""

    def __init__(self, origin: str, http: httpx.AsyncClient, sockets: aiohttp.ClientSession) -> None:
        self._origin = origin
        self._http = http
        self._sockets = sockets

    def visit(self, kind: Kind, server: str) -> Client:
        """A client of one server, to be entered."""
        url = f"{self._origin}/servers/{server}/{kind.path}"
        match kind.path, kind.revision:
            case "sse", _:
                return SseClient(kind.revision, self._http, url)
            case "ws", _:
                return WebSocketClient(kind.revision, self._sockets, url)
            case _, "2026-07-28":
                return ModernClient(self._http, url)
            case _:
                return StreamableClient(kind.revision, self._http, url)


@asynccontextmanager
async def visitors(origin: str) -> AsyncIterator[Visitors]:
    """For as long as the block lasts."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=None, limits=limits) as http, aiohttp.ClientSession() as sockets:
        yield Visitors(origin, http, sockets)


async def survey(origin: str) -> dict[Cell, Verdict]:
    """Do every item with every pair: on one server one after the other, on all servers at once."""
    found: dict[Cell, Verdict] = {}
    async with visitors(origin) as all_visitors, asyncio.TaskGroup() as group:
        for server in SERVERS:
            group.create_task(_survey_server(all_visitors, server, found))
    return found


async def _survey_server(all_visitors: Visitors, server: str, found: dict[Cell, Verdict]) -> None:
    async with all_visitors.visit(CLIENTS["2025-11-25"], server) as bystander:
        for name, kind in CLIENTS.items():
            try:
                async with all_visitors.visit(kind, server) as client:
                    pair = Pair(client, server.startswith("modern"), bystander)
                    for item in ITEMS:
                        found[Cell(name, server, item)] = await _verdict(pair, item)
            except Exception as error:
                for item in ITEMS:
                    found.setdefault(Cell(name, server, item), Verdict(broken=f"cannot connect: {error!r}"))


async def _verdict(pair: Pair, item: str) -> Verdict:
    if item == "ask elsewhere" and pair.modern_server:
        return WORKS
    try:
        async with asyncio.timeout(ITEM_SECONDS):
            return await ITEMS[item](pair)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Verdict(broken=f"{where.name}: {where.line}: {error!r}"[:600])


def main() -> None:
    """x"""
    import tempfile, time

    with cross_era_gateway(Path(tempfile.mkdtemp())) as running:
        began = time.monotonic()
        found = asyncio.run(survey(running.origin))
        print(f"{time.monotonic() - began:.1f} s")
        for cell, verdict in found.items():
            if verdict != WORKS:
                print(*cell, sorted(l.name for l in verdict.losses), verdict.impossible, "BROKEN" if verdict.broken else "", verdict.broken)
        print(running.output()[-6000:])


if __name__ == "__main__":
    main()
