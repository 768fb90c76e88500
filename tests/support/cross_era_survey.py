"""Every kind of client with every kind of server, through one gateway."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import httpx

from tests.support.cross_era_client import Client
from tests.support.cross_era_items import ITEMS
from tests.support.cross_era_legacy import SseClient, StreamableClient, WebSocketClient
from tests.support.cross_era_modern import ModernClient
from tests.support.cross_era_pair import Pair
from tests.support.cross_era_verdict import Verdict
from tests.support.gateway_process import GatewayProcess, gateway, module
from tests.support.processes import listening

FIXTURE: Final = "tests.support.fixture_server"

ITEM_SECONDS: Final = 60.0
"""No item takes so long."""


STREAM_SECONDS: Final = 120.0
"""No stream is silent for so long: the gateway sends a sign of life every quarter of a minute."""


class Kind(NamedTuple):
    """A revision, and what it is spoken over."""

    revision: str
    over: str


@dataclass(frozen=True)
class Cell:
    """One field of the table."""

    client: Kind
    server: str
    item: str


Findings = Mapping[Cell, Verdict]

HANDSHAKE: Final = "handshake era"
MODERN: Final = "2026-07-28"

SERVERS: Final = {
    "legacy_stdio": Kind(HANDSHAKE, "stdio"),
    "legacy_http": Kind(HANDSHAKE, "streamable HTTP"),
    "legacy_sse": Kind(HANDSHAKE, "HTTP+SSE"),
    "modern_http": Kind(MODERN, "streamable HTTP"),
    "modern_stdio": Kind(MODERN, "stdio"),
}
"""What each backend is."""

APART: Final = "apart_stdio"
"""One more: a server over stdio with a process for each session."""

CLIENTS: Final = (
    Kind("2024-11-05", "HTTP+SSE"),
    Kind("2025-03-26", "streamable HTTP"),
    Kind("2025-06-18", "streamable HTTP"),
    Kind("2025-11-25", "streamable HTTP"),
    Kind("2025-11-25", "WebSocket"),
    Kind(MODERN, "streamable HTTP"),
)


@contextmanager
def cross_era_servers() -> Iterator[dict[str, dict[str, Any]]]:
    """The configuration of a fixture server of each kind, which nobody else may use meanwhile."""
    with ExitStack() as stack:
        legacy = stack.enter_context(listening(FIXTURE, "--http", "0", "--era", "legacy"))
        modern = stack.enter_context(listening(FIXTURE, "--http", "0", "--era", "modern"))
        sse = stack.enter_context(listening("tests.support.fixture_sse", "0"))
        legacy_stdio = module(FIXTURE, "--stdio", "--era", "legacy")
        yield {
            "legacy_stdio": legacy_stdio,
            "legacy_http": {"url": legacy.url},
            "legacy_sse": {"url": f"{sse.origin}/sse"},
            "modern_http": {"url": modern.url},
            "modern_stdio": module(FIXTURE, "--stdio", "--era", "modern"),
            APART: {**legacy_stdio, "isolation": "session"},
        }


@contextmanager
def cross_era_gateway(folder: Path) -> Iterator[GatewayProcess]:
    """A gateway in front of them alone."""
    with cross_era_servers() as servers, gateway(folder, servers) as running:
        yield running


class Visitors:
    """Makes clients of one gateway."""

    def __init__(self, origin: str, http: httpx.AsyncClient, sockets: aiohttp.ClientSession) -> None:
        self._origin = origin
        self._http = http
        self._sockets = sockets

    def visit(self, kind: Kind, server: str) -> Client:
        """A client of one server, to be entered."""
        endpoint = f"{self._origin}/servers/{server}"
        match kind:
            case Kind(over="HTTP+SSE"):
                return SseClient(kind.revision, self._http, f"{endpoint}/sse")
            case Kind(over="WebSocket"):
                return WebSocketClient(kind.revision, self._sockets, f"{endpoint}/ws")
            case Kind(revision="2026-07-28"):
                return ModernClient(self._http, f"{endpoint}/mcp")
            case _:
                return StreamableClient(kind.revision, self._http, f"{endpoint}/mcp")


@asynccontextmanager
async def visitors(running: GatewayProcess) -> AsyncIterator[Visitors]:
    """For as long as the block lasts."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=STREAM_SECONDS, limits=limits) as http, aiohttp.ClientSession() as sockets:
        yield Visitors(running.origin, http, sockets)


async def survey(running: GatewayProcess) -> Findings:
    """Do every item with every pair: on one server one after the other, on all servers at once."""
    found: dict[Cell, Verdict] = {}
    async with visitors(running) as all_visitors, asyncio.TaskGroup() as group:
        for server in SERVERS:
            group.create_task(_survey_server(all_visitors, server, found))
    return found


async def _survey_server(all_visitors: Visitors, server: str, found: dict[Cell, Verdict]) -> None:
    modern = SERVERS[server].revision == MODERN
    for kind in CLIENTS:
        try:
            async with all_visitors.visit(kind, server) as client, all_visitors.visit(kind, server) as bystander:
                pair = Pair(client, modern, bystander)
                for item in ITEMS:
                    found[Cell(kind, server, item)] = await _verdict(pair, item)
        except Exception as error:  # noqa: BLE001 - what is wrong with one pair is to be seen beside the others
            for item in ITEMS:
                found.setdefault(Cell(kind, server, item), _broken(error))


async def _verdict(pair: Pair, item: str) -> Verdict:
    try:
        async with asyncio.timeout(ITEM_SECONDS):
            return await ITEMS[item](pair)
    except Exception as error:  # noqa: BLE001 - likewise
        return _broken(error)


def _broken(error: Exception) -> Verdict:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return Verdict(broken=f"{where.name}: {where.line}: {error!r}"[:1000])
