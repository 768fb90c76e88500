"""What the admin API says of servers. Of an entry it shows what is reached, and nothing that may hold a secret."""

from enum import StrEnum
from typing import Final, Literal

import msgspec

from actors.core.breaker import State
from actors.core.load import Load
from actors.core.membership import ReplicaState, Status
from actors.core.server_state import ServerState

STATES: Final = (ReplicaState.UP, ReplicaState.STARTING, ReplicaState.DOWN, ReplicaState.DRAINING)
"""The first of these that a replica of a server is in is the state of the server."""


class Standing(StrEnum):
    """How a server is."""

    UP = "up"
    STARTING = "starting"
    DOWN = "down"
    DRAINING = "draining"
    IDLE = "idle"
    """It has no replica, because nobody called for long."""


class ReplicaPage(msgspec.Struct, frozen=True, kw_only=True):
    """One replica."""

    index: int
    state: ReplicaState
    detail: str
    """Why it is not up."""
    breaker: State
    in_flight: int
    waiting: int
    restarts: int
    node: str
    zone: str
    weight: float
    revision: str | None
    """Of the protocol, as its server speaks it."""


class FindingPage(msgspec.Struct, frozen=True):
    """Something about one entry of a list, or about the instructions of a server."""

    kind: str
    name: str
    """In ASCII."""
    what: str
    """`new` or `changed`, or a sort of hidden text."""
    held: bool
    """Whether it is not offered because of that."""


class ServerPage(msgspec.Struct, frozen=True, kw_only=True):
    """One server with its replicas."""

    name: str
    origin: Literal["file", "added"]
    state: Standing
    tools: int
    wanted_replicas: int
    replicas: tuple[ReplicaPage, ...]
    findings: tuple[FindingPage, ...]
    """What its owner should know of its lists."""
    reached: str | msgspec.UnsetType = msgspec.UNSET
    """Of one that was added: its command or URL."""


class ServersPage(msgspec.Struct, frozen=True):
    """Every server."""

    servers: tuple[ServerPage, ...]


class NewEntry(msgspec.Struct, frozen=True):
    """The name of a server to add, beside what an entry of `mcpServers` has."""

    name: str


class ReloadPage(msgspec.Struct, frozen=True):
    """What was asked for."""

    status: str


def server_page(server: ServerState) -> ServerPage:
    """One server with its replicas."""
    states = {status.state for status in server.replicas}
    absent = Standing.STARTING if server.wanted else Standing.IDLE
    return ServerPage(
        name=server.name,
        origin="added" if server.origin == "added" else "file",
        state=next((Standing(state.value) for state in STATES if state in states), absent),
        tools=server.tools,
        wanted_replicas=server.wanted,
        replicas=tuple(_replica(status, load) for status, load in zip(server.replicas, server.loads, strict=True)),
        findings=tuple(FindingPage(each.kind, each.name, each.what, each.held) for each in server.findings),
        reached=_reached(msgspec.json.decode(server.source)) if server.source else msgspec.UNSET,
    )


def _replica(status: Status, load: Load) -> ReplicaPage:
    return ReplicaPage(
        index=status.key.index,
        state=status.state,
        detail=status.detail,
        breaker=load.breaker,
        in_flight=load.in_flight,
        waiting=load.waiting,
        restarts=status.restarts,
        node=status.node,
        zone=status.zone,
        weight=status.weight,
        revision=status.facts.revision if status.facts else None,
    )


def _reached(entry: dict[str, object]) -> str:
    """The command without its arguments, or the URL without its query: secrets stand in those."""
    urls = entry.get("urls")
    first = urls[0] if isinstance(urls, list) and urls else entry.get("url", entry.get("command", ""))
    if isinstance(first, dict):
        first = first.get("url", "")
    return str(first).partition("?")[0]
